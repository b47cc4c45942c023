#include "batch/masked_sample.h"

#include <algorithm>

#include "batch/legal_labels.h"

namespace keisei::batch {
namespace {

template <LogitType kType>
void sample_game(const MaskedSampleArgs& args, int64_t game) {
    const LabelNoise noise = LabelNoise::of(args, game);
    const uint32_t* const mask = args.mask + game * kMaskWords;
    const auto read = [&](int label) {
        return read_logit<kType>(args.logits, game * shogi::kLabels + label);
    };
    Choice choice = Choice::none();
    LegalSums<float> legal{-INFINITY, 0.0f, 0.0f};
    for_each_label(mask, [&](int label) {
        const float logit = read(label);
        legal.max = std::max(legal.max, logit);
        choice.offer(noise.choice(label, logit));
    });
    for_each_label(mask, [&](int label) { legal.add(read(label)); });
    write_choice(args, game, choice, legal);
}

}  // namespace

void masked_sample_cpu(const MaskedSampleArgs& args, int64_t begin, int64_t end) {
    with_type<float>(args.type, [&]<LogitType kType>() {
        for (int64_t game = begin; game < end; ++game) sample_game<kType>(args, game);
    });
}

}  // namespace keisei::batch
