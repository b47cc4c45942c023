// A label for each game from the softmax over its legal labels, with its log-probability and the
// entropy of that distribution, in one pass over the logits.
#pragma once

#include <cmath>
#include <cstdint>

#include "batch/logit.h"
#include "batch/random.h"

namespace keisei::batch {

struct MaskedSampleArgs {
    const void* logits;    // [games, 2187] of `type`; read where legal, and nowhere else
    const uint32_t* mask;  // [games, 81]
    const int32_t* clock;  // [games]
    int64_t* action;       // [games]; -1 where no legal logit is above minus infinity
    float* log_prob;       // [games]
    float* entropy;        // [games]
    int64_t games;
    uint64_t seed;
    int64_t first_game;  // index of the first game among all ranks' games
    LogitType type;
    bool greedy;  // the most probable label, ties to the lowest, no randomness
};

KEISEI_HD float read_logit(const void* logits, LogitType type, int64_t index) {
    if (type == LogitType::float32) return read_logit<LogitType::float32>(logits, index);
    if (type == LogitType::bfloat16) return read_logit<LogitType::bfloat16>(logits, index);
    return read_logit<LogitType::float16>(logits, index);
}

// A softmax being summed up, and the best-scored label so far. The choice depends on the labels
// offered and not on their order, so every split of a row among threads makes the same one.
struct SoftmaxChoice {
    float max;
    float sum;       // of exp(logit - max)
    float weighted;  // of (logit - max) exp(logit - max)
    float score;
    float logit;  // of `label`
    int label;

    KEISEI_HD static SoftmaxChoice none() {
        return {-INFINITY, 0.0f, 0.0f, -INFINITY, -INFINITY, -1};
    }

    // Makes `new_max`, at least the present one, the reference of the sums.
    KEISEI_HD void rescale(float new_max) {
        const float shift = max - new_max;
        const float scale = expf(shift);
        weighted = scale > 0.0f ? (weighted + sum * shift) * scale : 0.0f;
        sum *= scale;
        max = new_max;
    }

    KEISEI_HD void offer(int new_label, float new_logit, float new_score) {
        if (new_logit == -INFINITY) return;  // probability 0, and no reference for a sum
        if (sum == 0.0f) {
            max = new_logit;
            sum = 1.0f;
        } else if (new_logit > max) {
            rescale(new_logit);
            sum += 1.0f;
        } else {
            const float below = new_logit - max;
            const float share = expf(below);
            sum += share;
            if (share > 0.0f) weighted += below * share;
        }
        if (new_score > score || (new_score == score && new_label < label)) {
            score = new_score;
            logit = new_logit;
            label = new_label;
        }
    }

    KEISEI_HD void merge(SoftmaxChoice other) {
        if (other.sum != 0.0f) {
            if (sum == 0.0f) {
                max = other.max;
            } else if (other.max > max) {
                rescale(other.max);
            } else if (other.max < max) {
                other.rescale(max);
            }
            // Not a number, or both infinite: nothing above fits, and the sum must show it.
            sum += max == other.max ? other.sum : NAN;
            weighted += other.weighted;
        }
        if (other.score > score || (other.score == score && other.label < label)) {
            score = other.score;
            logit = other.logit;
            label = other.label;
        }
    }

    KEISEI_HD float log_prob() const { return logit - max - logf(sum); }
    KEISEI_HD float entropy() const { return logf(sum) - weighted / sum; }
};

KEISEI_HD float label_score(const MaskedSampleArgs& args, int64_t game, int label, float logit) {
    if (args.greedy) return logit;
    return logit + label_gumbel(args.seed, args.first_game + game, args.clock[game], label);
}

KEISEI_HD void write_choice(const MaskedSampleArgs& args, int64_t game,
                            const SoftmaxChoice& choice) {
    args.action[game] = choice.label;
    args.log_prob[game] = choice.label < 0 ? NAN : choice.log_prob();
    args.entropy[game] = choice.label < 0 ? NAN : choice.entropy();
}

void masked_sample_cpu(const MaskedSampleArgs& args, int64_t begin, int64_t end);
void masked_sample_cuda(const MaskedSampleArgs& args, void* stream);

}  // namespace keisei::batch
