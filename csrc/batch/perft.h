// Counts the legal move sequences of a length from each of many positions (perft).
#pragma once

#include <cstddef>

#include "batch/layout.h"

namespace keisei::batch {

// More would take a machine longer than there is time; counts stay below 2^63 as long.
constexpr int kPerftMostDepth = 32;

struct PerftArgs {
    PositionsView positions;
    int64_t* nodes;  // [games]
    int depth;       // 0 to kPerftMostDepth
    int64_t games;
    void* scratch;  // perft_scratch_bytes(games, depth) on CUDA, unused on the CPU
};

// No position of shogi's forty pieces has more legal moves.
constexpr int64_t kMostMoves = 593;

// What perft_cuda works in. It is bounded: from some depth on, a ply adds 0.2 GB.
size_t perft_scratch_bytes(int64_t games, int depth);

void perft_cpu(const PerftArgs& args, int64_t begin, int64_t end);
// Waits for the device. Throws std::invalid_argument for words that are no positions of shogi and
// have more moves.
void perft_cuda(const PerftArgs& args, void* stream);

}  // namespace keisei::batch
