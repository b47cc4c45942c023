#include "engine/policy_player.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "engine/score.h"
#include "notation/usi.h"
#include "shogi/apply.h"
#include "shogi/declaration.h"
#include "shogi/key.h"
#include "shogi/legal.h"

namespace keisei::engine {
namespace {

using shogi::kLabels;
using shogi::Position;

// The finaliser of splitmix64: every bit of the result depends on every bit of x.
uint64_t mixed(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

int most_probable(const std::vector<int>& labels, std::span<const float> logits, uint64_t draw) {
    const auto logit = [&](int label) { return logits[static_cast<std::size_t>(label)]; };
    const float best = logit(*std::ranges::max_element(labels, {}, logit));
    std::vector<int> equals;
    std::ranges::copy_if(labels, std::back_inserter(equals),
                         [&](int label) { return logit(label) == best; });
    return equals[draw % equals.size()];
}

bool mates(const Position& position, int label) {
    const Position next = shogi::apply(position, label);
    return shogi::in_check(next) && !shogi::has_legal_move(next);
}

}  // namespace

Decision decide(const game::Game& game, Evaluator& evaluator, const Settings& settings,
                const std::vector<int>* candidates) {
    const Position& position = game.position();
    const std::vector<int> labels =
        candidates != nullptr ? *candidates : notation::legal_labels(position);
    if (labels.empty()) return {.best = "resign", .score = "mate -1", .pv = {}};
    if (candidates == nullptr && settings.declare && shogi::can_declare(position)) {
        return {.best = "win", .score = "mate 1", .pv = {}};
    }
    std::vector<float> logits(kLabels);
    std::vector<float> values(1);
    evaluator.evaluate({&position, 1}, logits, values);

    const auto seed = static_cast<uint64_t>(settings.seed);
    const auto ply = static_cast<uint64_t>(game.ply());
    const uint64_t draw = mixed(mixed(mixed(seed) ^ shogi::key(position)) ^ ply);
    const int label = most_probable(labels, logits, draw);
    const std::string move = notation::to_usi(position, label);
    if (mates(position, label)) {
        return {.best = move, .score = "mate 1", .pv = move, .depth = 1, .nodes = 1};
    }
    // The move that reaches the limit ends the game as a draw, whatever the position is worth.
    const bool last_move =
        settings.max_moves_to_draw > 0 && game.ply() >= settings.max_moves_to_draw;
    const int cp = last_move ? 0 : centipawns(values[0]);
    const bool give_up = cp <= -settings.resign_value;
    return {.best = give_up ? "resign" : move,
            .score = "cp " + std::to_string(cp),
            .pv = move,
            .depth = 1,
            .nodes = 1};
}

}  // namespace keisei::engine
