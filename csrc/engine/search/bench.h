// How fast the search and its evaluators are, and whether the search is still the same one.
#pragma once

#include <cstdint>
#include <ostream>
#include <span>
#include <vector>

#include "engine/evaluator.h"
#include "engine/search/settings.h"

namespace keisei::engine {

struct BenchOptions {
    int64_t nodes = 0;     // of the signature, a position; 0: 500
    double seconds = 2.0;  // of each measurement; 0: measures nothing, only the signature
    int threads = 2;       // for each evaluator, where the search is measured
    std::vector<int> batches = {1, 8, 32, 64, 128, 256, 512};
    bool json = false;
};

// Writes a table, or one JSON object:
//   signature  a number made from nodes, moves, lines and scores of a search of `nodes` nodes in
//   one
//              thread over a fixed set of positions; the same for every build and machine whose
//              evaluator gives the same numbers (mock and uniform do)
//   raw        evaluations per second by batch, from as many threads as the search uses
//   search     playouts and evaluations per second of the search by batch, the evaluations as a
//              share of the best raw speed, and the share of their time that the search's threads
//              wait for evaluations: where it is small, more threads bring more
void bench(std::ostream& out, std::span<Evaluator* const> evaluators,
           const SearchSettings& settings, const BenchOptions& options);

}  // namespace keisei::engine
