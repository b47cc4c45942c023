#include "batch/masked_sample.h"

#include "batch/layout.h"

namespace keisei::batch {

void masked_sample_cpu(const MaskedSampleArgs& args, int64_t begin, int64_t end) {
    for (int64_t game = begin; game < end; ++game) {
        SoftmaxChoice choice = SoftmaxChoice::none();
        for (int w = 0; w < shogi::kMaskWords; ++w) {
            uint32_t bits = mask_word(args.mask + game * shogi::kMaskWords, w);
            for (; bits != 0; bits &= bits - 1) {
                const int label = w * shogi::kWordBits + shogi::lowest_bit(bits);
                const float logit =
                    read_logit(args.logits, args.type, game * shogi::kLabels + label);
                choice.offer(label, logit, label_score(args, game, label, logit));
            }
        }
        write_choice(args, game, choice);
    }
}

}  // namespace keisei::batch
