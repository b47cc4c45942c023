#include "batch/ppo_loss_backward.h"

#include <algorithm>

#include "batch/legal_labels.h"

namespace keisei::batch {
namespace {

template <typename Real>
void gradient_of_rows(const PpoLossBackwardArgs<Real>& args, int64_t begin, int64_t end) {
    const Real weight = row_weight(args);
    with_type<Real>(args.type, [&]<LogitType kType>() {
        using Stored = typename Logit<kType>::Stored;
        for (int64_t row = begin; row < end; ++row) {
            Stored* const out = static_cast<Stored*>(args.logits_gradient) + row * shogi::kLabels;
            std::fill(out, out + shogi::kLabels, Stored{});
            args.values_gradient[row] = value_gradient(args, row, weight);
            if (args.valid[row] == 0) continue;
            const auto gradient = PpoRowGradient<Real>::of(args, row, weight);
            for_each_label(args.mask + row * kMaskWords, [&](int label) {
                const Real logit = read_logit<kType>(args.logits, row * shogi::kLabels + label);
                out[label] = Logit<kType>::written(gradient.of_logit(label, logit));
            });
        }
    });
}

}  // namespace

void ppo_loss_backward_cpu(const PpoLossBackwardArgs<float>& args, int64_t begin, int64_t end) {
    gradient_of_rows(args, begin, end);
}

void ppo_loss_backward_cpu(const PpoLossBackwardArgs<double>& args, int64_t begin, int64_t end) {
    gradient_of_rows(args, begin, end);
}

}  // namespace keisei::batch
