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

// One row as the rows before it see it.
struct GaeRow {
    float value;
    float reward;
    uint8_t ending;
    bool inside;  // of the rollout: a step, not the bootstrap row
    bool valid;
    bool learnt;

    // The row after the last, of which only the value is known.
    KEISEI_HD static GaeRow bootstrap(float value) { return {value, 0.0f, 0, false, false, false}; }

    KEISEI_HD bool goes_on() const { return static_cast<shogi::Ending>(ending) == kNone; }
    KEISEI_HD bool ruled_end() const {
        return !goes_on() && static_cast<shogi::Ending>(ending) != shogi::Ending::move_limit;
    }

 private:
    static constexpr shogi::Ending kNone = shogi::Ending::none;
};

// What a row passes back in time: base + link times what the next row passes back. For a learnt row
// that is its advantage; an opponent's reply hands on that of the row after it. Affine steps
// compose, so stretches of time can be joined after they were summed up apart.
struct GaeStep {
    float base;
    float link;

    // A link of 0 lets nothing through, not even what is not a number.
    KEISEI_HD float pass(float later) const { return link == 0.0f ? base : base + link * later; }

    KEISEI_HD GaeStep joined(const GaeStep& later) const {
        return {pass(later.base), link * later.link};
    }
};

// `next` and `after` are the two rows that follow `row`.
template <GaeForm kForm>
KEISEI_HD GaeStep gae_step(float gamma, float lambda, const GaeRow& row, const GaeRow& next,
                           const GaeRow& after) {
    const float to_next = kForm == GaeForm::single ? gamma : -gamma;
    const bool chained = row.goes_on() && next.inside && next.learnt;
    if (!row.learnt) {
        const bool reply = kForm == GaeForm::own_plies && row.valid;
        return {0.0f, reply && chained ? 1.0f : 0.0f};
    }
    if (row.ruled_end()) return {row.reward - row.value, 0.0f};
    if (kForm == GaeForm::own_plies && row.goes_on() && next.inside && next.valid && !next.learnt) {
        const float two = gamma * gamma;
        const float delta = row.reward - gamma * next.reward - row.value;
        if (next.ruled_end()) return {delta, 0.0f};
        return {delta + two * after.value, two * lambda};
    }
    const float delta = row.reward + to_next * next.value - row.value;
    return {delta, chained ? to_next * lambda : 0.0f};
}

void gae_cpu(const GaeArgs& args, int64_t begin, int64_t end);
void gae_cuda(const GaeArgs& args, void* stream);

}  // namespace keisei::batch
