// The gradient of the PPO loss by logits and values, from what its forward pass kept of each row.
#pragma once

#include "batch/ppo_loss.h"

namespace keisei::batch {

template <typename Real>
struct PpoLossBackwardArgs {
    const Real* gradient;             // [1], of the total
    const void* logits;               // [rows, 2187]
    const uint32_t* mask;             // [rows, 81]
    const int64_t* actions;           // [rows]
    const uint8_t* valid;             // [rows]
    const Real* metrics;              // [kPpoTerms]
    const Real* stats;                // [kPpoStats, rows]
    const Real* entropy_coefficient;  // [1]
    void* logits_gradient;            // [rows, 2187] of `type`; 0 where illegal
    Real* values_gradient;            // [rows]
    int64_t rows;
    LogitType type;
};

// What turns a row's slopes into gradients.
template <typename Real>
KEISEI_HD Real row_weight(const PpoLossBackwardArgs<Real>& args) {
    const Real count = args.metrics[VALID_ROWS];
    return *args.gradient / (count > 1 ? count : 1);
}

// 0 for a row that is not valid, also where the weight is not a number.
template <typename Real>
KEISEI_HD Real value_gradient(const PpoLossBackwardArgs<Real>& args, int64_t row, Real weight) {
    return args.valid[row] == 0 ? 0 : args.stats[VALUE_SLOPE * args.rows + row] * weight;
}

// A valid row's stats, and the gradient by each of its legal logits.
template <typename Real>
struct PpoRowGradient {
    Real max;
    Real log_sum;
    Real entropy;
    Real policy;  // weight times the slope
    Real bonus;   // weight times the entropy's coefficient
    int action;

    KEISEI_HD static PpoRowGradient of(const PpoLossBackwardArgs<Real>& args, int64_t row,
                                       Real weight) {
        return {args.stats[MAX_LOGIT * args.rows + row],
                args.stats[LOG_SUM * args.rows + row],
                args.stats[ENTROPY * args.rows + row],
                args.stats[POLICY_SLOPE * args.rows + row] * weight,
                *args.entropy_coefficient * weight,
                static_cast<int>(args.actions[row])};
    }

    // The policy's part is slope (1[label is the action] - p); the entropy of a softmax has the
    // slope -p (log p + entropy).
    KEISEI_HD Real of_logit(int label, Real logit) const {
        const Real log_p = logit - max - log_sum;
        const Real p = detail::exp_of(log_p);
        const Real spread = p == 0 ? 0 : p * (log_p + entropy);
        return policy * ((label == action ? 1 : 0) - p) + bonus * spread;
    }
};

void ppo_loss_backward_cpu(const PpoLossBackwardArgs<float>& args, int64_t begin, int64_t end);
void ppo_loss_backward_cpu(const PpoLossBackwardArgs<double>& args, int64_t begin, int64_t end);
void ppo_loss_backward_cuda(const PpoLossBackwardArgs<float>& args, void* stream);
void ppo_loss_backward_cuda(const PpoLossBackwardArgs<double>& args, void* stream);

}  // namespace keisei::batch
