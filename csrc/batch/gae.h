// Generalised advantage estimation over a rollout, game by game, backwards in time.
#pragma once

#include <cstdint>

#include "shogi/outcome.h"

namespace keisei::batch {

enum class GaeForm : uint8_t {
    zero_sum,  // every row's mover learns; sides alternate, so the next row counts against it
    single,    // the textbook form for one agent
    own_plies  // the learner owns some rows; its opponent's replies lie between them
};

struct GaeArgs {
    const float* values;    // [steps + 1, games], the mover's; the last row bootstraps
    const float* rewards;   // [steps, games], for the player who moved
    const uint8_t* ending;  // [steps, games], shogi::Ending
    const uint8_t* valid;   // [steps, games]; 0: the row is no move (after a truncation)
    const uint8_t* own;     // [steps, games], the learner's rows; own_plies only
    float* advantages;      // [steps, games]; 0 in rows that are not learnt from
    float* returns;         // [steps, games]; advantage + value, 0 likewise
    int64_t steps;
    int64_t games;
    float gamma;
    float lambda;
    GaeForm form;
};

namespace detail {

// One row as the row before it sees it.
struct GaeRow {
    float value;
    float advantage;
    float reward;
    shogi::Ending ending;
    bool inside;  // of the rollout: a step, not the bootstrap row
    bool valid;
    bool learnt;
};

KEISEI_HD bool ruled_end(shogi::Ending ending) {
    return ending != shogi::Ending::none && ending != shogi::Ending::move_limit;
}

// The advantage of a learnt row; `next` and `after` are the two rows that follow it.
KEISEI_HD float advantage_of(const GaeArgs& args, const GaeRow& row, const GaeRow& next,
                             const GaeRow& after) {
    const float sign = args.form == GaeForm::single ? 1.0f : -1.0f;
    const float to_next = sign * args.gamma;
    if (ruled_end(row.ending)) return row.reward - row.value;
    const bool reply_follows = args.form == GaeForm::own_plies && next.inside && next.valid &&
                               !next.learnt && row.ending == shogi::Ending::none;
    if (!reply_follows) {
        const float delta = row.reward + to_next * next.value - row.value;
        const bool chained = row.ending == shogi::Ending::none && next.inside && next.learnt;
        return chained ? delta + to_next * args.lambda * next.advantage : delta;
    }
    const float two = args.gamma * args.gamma;
    const float delta = row.reward - args.gamma * next.reward - row.value;
    if (ruled_end(next.ending)) return delta;
    const bool chained = next.ending == shogi::Ending::none && after.inside && after.learnt;
    return delta + two * (after.value + (chained ? args.lambda * after.advantage : 0.0f));
}

}  // namespace detail

KEISEI_HD void gae_of_game(const GaeArgs& args, int64_t game) {
    detail::GaeRow next{args.values[args.steps * args.games + game],
                        0.0f,
                        0.0f,
                        shogi::Ending::none,
                        false,
                        false,
                        false};
    detail::GaeRow after = next;
    for (int64_t t = args.steps - 1; t >= 0; --t) {
        const int64_t at = t * args.games + game;
        detail::GaeRow row;
        row.value = args.values[at];
        row.reward = args.rewards[at];
        row.ending = static_cast<shogi::Ending>(args.ending[at]);
        row.inside = true;
        row.valid = args.valid[at] != 0;
        row.learnt = row.valid && (args.form != GaeForm::own_plies || args.own[at] != 0);
        row.advantage = row.learnt ? detail::advantage_of(args, row, next, after) : 0.0f;
        args.advantages[at] = row.advantage;
        args.returns[at] = row.learnt ? row.advantage + row.value : 0.0f;
        after = next;
        next = row;
    }
}

void gae_cpu(const GaeArgs& args, int64_t begin, int64_t end);
void gae_cuda(const GaeArgs& args, void* stream);

}  // namespace keisei::batch
