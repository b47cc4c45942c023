#include "batch/ppo_loss.h"

#include <algorithm>

#include "batch/legal_labels.h"

namespace keisei::batch {
namespace {

template <LogitType kType, typename Real>
PpoTerms<Real> loss_of_row(const PpoLossArgs<Real>& args, int64_t row) {
    const uint32_t* const mask = args.mask + row * kMaskWords;
    const auto logit = [&](int label) {
        return read_logit<kType>(args.logits, row * shogi::kLabels + label);
    };
    LegalSums<Real> legal{-INFINITY, 0, 0};
    for_each_label(mask, [&](int label) { legal.max = std::max(legal.max, logit(label)); });
    for_each_label(mask, [&](int label) { legal.add(logit(label)); });
    const auto rest = PpoRow<Real>::of(args, row);
    return settle_row(args, row, rest, legal, chosen_logit<kType>(args, row, rest.action, mask));
}

template <typename Real>
void loss_of_rows(const PpoLossArgs<Real>& args, int64_t begin, int64_t end) {
    with_type<Real>(args.type, [&]<LogitType kType>() {
        for (int64_t row = begin; row < end; ++row) {
            PpoTerms<Real> terms = PpoTerms<Real>::none();
            if (args.valid[row] != 0) {
                terms = loss_of_row<kType>(args, row);
            } else {
                clear_row(args, row);
            }
            for (int i = 0; i < kPpoTerms; ++i) args.parts[i * args.rows + row] = terms.term[i];
        }
    });
}

template <typename Real>
void finish(const PpoLossArgs<Real>& args) {
    double sums[kPpoTerms] = {};
    for (int i = 0; i < kPpoTerms; ++i) {
        for (int64_t row = 0; row < args.rows; ++row) sums[i] += args.parts[i * args.rows + row];
    }
    finish_loss(args, sums);
}

}  // namespace

int64_t ppo_loss_parts_cpu(int64_t rows) {
    return rows;
}

void ppo_loss_cpu(const PpoLossArgs<float>& args, int64_t begin, int64_t end) {
    loss_of_rows(args, begin, end);
}

void ppo_loss_cpu(const PpoLossArgs<double>& args, int64_t begin, int64_t end) {
    loss_of_rows(args, begin, end);
}

void ppo_loss_finish_cpu(const PpoLossArgs<float>& args) {
    finish(args);
}

void ppo_loss_finish_cpu(const PpoLossArgs<double>& args) {
    finish(args);
}

}  // namespace keisei::batch
