// Looks for a mate by checks alone: the attacker, who is to move, gives check with every move, and
// every answer is looked at. Depth-first proof-number search (df-pn) after Nagai, "Df-pn algorithm
// for searching AND/OR trees and its applications" (2002).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/search/stop.h"
#include "game/game.h"

namespace keisei::engine {

struct MateLimits {
    int64_t nodes = 0;         // positions looked at; 0: no limit
    int64_t memory_mib = 256;  // of the table
};

enum class MateAnswer : uint8_t {
    mate,     // forced, whatever the defender does
    no_mate,  // there is none by checks
    unknown,  // stopped, or a limit
};

struct MateResult {
    MateAnswer answer = MateAnswer::unknown;
    // Of a mate: the line, with the longest defence that is known; it ends in mate.
    std::vector<int> labels;
    int64_t nodes = 0;
};

// A position that comes again on the way is no success for the attacker, nor is one that ends the
// game by coming for the fourth time in it: so a mate holds against every answer, and a perpetual
// check is none. Where "no mate" leans on a repetition it is checked that the defender can go on
// for ever whatever the way.
MateResult solve_mate(const game::Game& game, const MateLimits& limits, const Stop& stop);

// The same in portions, for a search that runs beside.
class MateSearch {
 public:
    explicit MateSearch(int64_t memory_mib);
    ~MateSearch();
    MateSearch(const MateSearch&) = delete;
    MateSearch& operator=(const MateSearch&) = delete;

    // The last of these positions, which are one game's from its start on.
    void set_position(std::span<const game::Reached> history);
    // Looks at about so many more positions. The answer stays once it is known; `nodes` counts all
    // since set_position.
    MateResult advance(int64_t nodes, const std::function<bool()>& stop);

 private:
    class Solver;
    std::unique_ptr<Solver> solver_;
};

}  // namespace keisei::engine
