// Plays the most probable legal move of the policy: one evaluation, no search.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/evaluator.h"
#include "engine/options.h"
#include "game/game.h"

namespace keisei::engine {

struct Decision {
    std::string best;   // a USI move, "resign" or "win"
    std::string score;  // "cp 12", "mate 1"
    std::string pv;     // the move that was looked at; empty if none
    int depth = 0;
    int nodes = 0;  // evaluations
};

// `candidates` restricts the choice to these legal labels; null: all legal moves, and declaration.
// Among equally probable moves the settings' seed decides, differently in every position. Throws
// what the evaluator throws.
Decision decide(const game::Game& game, Evaluator& evaluator, const Settings& settings,
                const std::vector<int>* candidates);

}  // namespace keisei::engine
