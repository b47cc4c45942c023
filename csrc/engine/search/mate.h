// Looks for a mate by checks alone (df-pn): the attacker, who is to move, gives check with every
// move, and every answer is looked at.
#pragma once

#include <cstdint>
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
    std::vector<int> labels;  // of a mate: the line, best defence as far as known; ends in mate
    int64_t nodes = 0;
};

// A position that occurred before, in the game or on the way, is no mate.
MateResult solve_mate(const game::Game& game, const MateLimits& limits, const Stop& stop);

}  // namespace keisei::engine
