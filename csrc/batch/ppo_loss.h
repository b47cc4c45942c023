// The loss of proximal policy optimisation over legal moves, and its gradient.
//
// Everything comes from the legal logits of a row: their largest, the sum over the others, and what
// each row then adds to the means. Means are over the valid rows; another row is not even read.
#pragma once

#include <cstdint>

#include "batch/layout.h"
#include "batch/logit.h"
#include "batch/softmax.h"

namespace keisei::batch {

// What the backward pass needs of a row, [kPpoStats, rows].
enum PpoStat : int {
    MAX_LOGIT = 0,     // of the legal ones
    LOG_SUM = 1,       // log of the sum of exp(logit - max)
    ENTROPY = 2,       //
    POLICY_SLOPE = 3,  // of the row's policy loss, by the action's log-probability
    VALUE_SLOPE = 4,   // of the row's value loss times its coefficient, by the value
};
constexpr int kPpoStats = 5;

// What a row adds to the sums, and the means in `metrics`.
enum PpoTerm : int {
    POLICY_LOSS = 0,
    VALUE_LOSS = 1,
    ENTROPY_BONUS = 2,
    APPROX_KL = 3,
    CLIP_FRACTION = 4,
    VALID_ROWS = 5,  // the sum itself
};
constexpr int kPpoTerms = 6;

// Real is double for float64 logits, else float.
template <typename Real>
struct PpoLossArgs {
    const void* logits;      // [rows, 2187] of `type`; read where legal, and nowhere else
    const Real* values;      // [rows]
    const uint32_t* mask;    // [rows, 81]
    const int64_t* actions;  // [rows]
    const Real* log_probs;   // [rows], of the actions when they were chosen
    const Real* old_values;  // [rows], when the actions were chosen
    const Real* advantages;  // [rows]
    const Real* returns;     // [rows]
    const uint8_t* valid;    // [rows]
    // [1]; on the device, so that a recorded loss follows a schedule.
    const Real* entropy_coefficient;
    Real* total;    // [1]
    Real* metrics;  // [kPpoTerms]
    Real* stats;    // [kPpoStats, rows]; 0 where not valid
    Real* parts;    // [kPpoTerms, part_count]: sums to be summed
    int64_t rows;
    int64_t part_count;
    LogitType type;
    Real clip_range;
    Real value_clip;  // used if clips_values
    Real value_coefficient;
    bool clips_values;
};

namespace detail {

KEISEI_HD float not_a_number(float) {
    return NAN;
}
KEISEI_HD double not_a_number(double) {
    return static_cast<double>(NAN);
}

template <typename Real>
KEISEI_HD Real clamp(Real x, Real low, Real high) {
    return x < low ? low : x > high ? high : x;  // not a number stays so
}

}  // namespace detail

template <typename Real>
struct PpoTerms {
    Real term[kPpoTerms];

    KEISEI_HD static PpoTerms none() { return {{0, 0, 0, 0, 0, 0}}; }
};

// What a row brings besides its logits; asked for early, long before it is used.
template <typename Real>
struct PpoRow {
    int64_t action;
    Real log_prob;
    Real advantage;
    Real value;
    Real old_value;
    Real target;

    KEISEI_HD static PpoRow of(const PpoLossArgs<Real>& args, int64_t row) {
        return {args.actions[row], args.log_probs[row],  args.advantages[row],
                args.values[row],  args.old_values[row], args.returns[row]};
    }
};

// Settles a valid row: writes its stats, returns its terms. `chosen` is the action's logit.
template <typename Real>
KEISEI_HD PpoTerms<Real> settle_row(const PpoLossArgs<Real>& args, int64_t at,
                                    const PpoRow<Real>& row, const LegalSums<Real>& legal,
                                    Real chosen) {
    const Real log_sum = legal.log_sum();
    const Real entropy = legal.entropy();
    const Real log_ratio = chosen - legal.max - log_sum - row.log_prob;
    const Real ratio = detail::exp_of(log_ratio);
    const Real gain = ratio * row.advantage;
    const Real clipped_gain =
        detail::clamp(ratio, 1 - args.clip_range, 1 + args.clip_range) * row.advantage;
    // Where the clipped gain is the smaller, the ratio is out of range and has no slope.
    const bool held = clipped_gain < gain;

    Real error = (row.value - row.target) * (row.value - row.target);
    Real slope = 2 * (row.value - row.target);
    if (args.clips_values) {
        const Real step = row.value - row.old_value;
        const Real near = row.old_value + detail::clamp(step, -args.value_clip, args.value_clip);
        const Real near_error = (near - row.target) * (near - row.target);
        const bool inside = step >= -args.value_clip && step <= args.value_clip;
        const Real near_slope = inside ? 2 * (near - row.target) : 0;
        if (near_error > error) {
            error = near_error;
            slope = near_slope;
        } else if (near_error == error) {
            slope = (slope + near_slope) / 2;  // as torch.maximum shares a tie
        }
    }

    args.stats[MAX_LOGIT * args.rows + at] = legal.max;
    args.stats[LOG_SUM * args.rows + at] = log_sum;
    args.stats[ENTROPY * args.rows + at] = entropy;
    args.stats[POLICY_SLOPE * args.rows + at] = held ? 0 : -gain;
    args.stats[VALUE_SLOPE * args.rows + at] = args.value_coefficient * slope;

    PpoTerms<Real> out;
    out.term[POLICY_LOSS] = held ? -clipped_gain : -gain;
    out.term[VALUE_LOSS] = error;
    out.term[ENTROPY_BONUS] = entropy;
    out.term[APPROX_KL] = ratio - 1 - log_ratio;
    const Real change = ratio - 1;
    out.term[CLIP_FRACTION] = change > args.clip_range || -change > args.clip_range ? 1 : 0;
    out.term[VALID_ROWS] = 1;
    return out;
}

template <typename Real>
KEISEI_HD void clear_row(const PpoLossArgs<Real>& args, int64_t row) {
    for (int i = 0; i < kPpoStats; ++i) args.stats[i * args.rows + row] = 0;
}

// The action's logit; not a number, so that the loss shows it, unless the action is legal by
// `mask`, the row's own [81].
template <LogitType kType, typename Real>
KEISEI_HD Real chosen_logit(const PpoLossArgs<Real>& args, int64_t row, int64_t action,
                            const uint32_t* mask) {
    if (action < 0 || action >= shogi::kLabels) return detail::not_a_number(Real{});
    const auto label = static_cast<uint32_t>(action);
    const bool legal = ((mask[label / shogi::kWordBits] >> (label % shogi::kWordBits)) & 1u) != 0;
    return legal ? read_logit<kType>(args.logits, row * shogi::kLabels + action)
                 : detail::not_a_number(Real{});
}

// Sums over all rows to the means and the loss.
template <typename Real>
KEISEI_HD void finish_loss(const PpoLossArgs<Real>& args, const double (&sums)[kPpoTerms]) {
    const double count = sums[VALID_ROWS] > 1 ? sums[VALID_ROWS] : 1;
    for (int i = 0; i < VALID_ROWS; ++i) args.metrics[i] = static_cast<Real>(sums[i] / count);
    args.metrics[VALID_ROWS] = static_cast<Real>(sums[VALID_ROWS]);
    const double value_coefficient = args.value_coefficient;
    const double entropy_coefficient = *args.entropy_coefficient;
    *args.total = static_cast<Real>((sums[POLICY_LOSS] + value_coefficient * sums[VALUE_LOSS] -
                                     entropy_coefficient * sums[ENTROPY_BONUS]) /
                                    count);
}

// How many parts the sums of so many rows come in.
int64_t ppo_loss_parts_cpu(int64_t rows);
int64_t ppo_loss_parts_cuda(int64_t rows);

// The host goes row by row (a part is a row), then sums.
void ppo_loss_cpu(const PpoLossArgs<float>& args, int64_t begin, int64_t end);
void ppo_loss_cpu(const PpoLossArgs<double>& args, int64_t begin, int64_t end);
void ppo_loss_finish_cpu(const PpoLossArgs<float>& args);
void ppo_loss_finish_cpu(const PpoLossArgs<double>& args);
void ppo_loss_cuda(const PpoLossArgs<float>& args, void* stream);
void ppo_loss_cuda(const PpoLossArgs<double>& args, void* stream);

}  // namespace keisei::batch
