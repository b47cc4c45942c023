// A label for each game from the softmax over its legal labels, with its log-probability and the
// entropy of that distribution. Logits are read once.
#pragma once

#include <cmath>
#include <cstdint>

#include "batch/layout.h"
#include "batch/logit.h"
#include "batch/random.h"
#include "batch/softmax.h"

namespace keisei::batch {

struct MaskedSampleArgs {
    const void* logits;    // [games, 2187] of `type`; read where legal, and nowhere else
    const uint32_t* mask;  // [games, 81]
    const int32_t* clock;  // [games]
    int64_t* action;       // [games]; -1 where no label is legal
    float* log_prob;       // [games]
    float* entropy;        // [games]
    int64_t games;
    uint64_t seed;
    int64_t first_game;  // index of the first game among all ranks' games
    LogitType type;
    bool greedy;  // the most probable label, ties to the lowest, no randomness
};

// The best-scored label so far; equals go to the lowest. What comes out depends on the labels
// offered and not on their order, so every split of a row among threads makes the same choice.
struct Choice {
    float score;
    float logit;
    int label;

    KEISEI_HD static Choice none() { return {-INFINITY, -INFINITY, shogi::kLabels}; }
    KEISEI_HD bool any() const { return label < shogi::kLabels; }

    KEISEI_HD void offer(const Choice& other) {
        if (other.score > score || (other.score == score && other.label < label)) *this = other;
    }
};

// What a draw adds to the logits of one game: Gumbel noise, or nothing where it is greedy.
struct LabelNoise {
    uint64_t seed;
    int64_t game;
    int32_t clock;
    bool greedy;

    KEISEI_HD static LabelNoise of(const MaskedSampleArgs& args, int64_t game) {
        return {args.seed, args.first_game + game, args.clock[game], args.greedy};
    }

    // A logit that is not a number scores lowest: what is chosen is legal, whatever the logits are.
    KEISEI_HD Choice choice(int label, float logit) const {
        const float score = greedy ? logit : logit + label_gumbel(seed, game, clock, label);
        return {score == score ? score : -INFINITY, logit, label};
    }
};

KEISEI_HD void write_choice(const MaskedSampleArgs& args, int64_t game, const Choice& choice,
                            const LegalSums<float>& legal) {
    const bool chosen = choice.any();
    args.action[game] = chosen ? choice.label : -1;
    args.log_prob[game] = chosen ? choice.logit - legal.max - legal.log_sum() : NAN;
    args.entropy[game] = chosen ? legal.entropy() : NAN;
}

void masked_sample_cpu(const MaskedSampleArgs& args, int64_t begin, int64_t end);
void masked_sample_cuda(const MaskedSampleArgs& args, void* stream);

}  // namespace keisei::batch
