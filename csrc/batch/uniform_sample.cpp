#include "batch/uniform_sample.h"

#include "batch/layout.h"

namespace keisei::batch {

void uniform_sample_cpu(const UniformSampleArgs& args, int64_t begin, int64_t end) {
    for (int64_t game = begin; game < end; ++game) {
        const uint32_t* row = args.mask + game * shogi::kMaskWords;
        uint32_t count = 0;
        for (int w = 0; w < shogi::kMaskWords; ++w) {
            count += static_cast<uint32_t>(shogi::popcount(mask_word(row, w)));
        }
        if (count == 0) {
            args.action[game] = -1;
            continue;
        }
        uint32_t k = uniform_choice(args, game, count);
        int w = 0;
        for (uint32_t here; k >= (here = static_cast<uint32_t>(shogi::popcount(mask_word(row, w))));
             ++w) {
            k -= here;
        }
        args.action[game] = w * shogi::kWordBits + nth_set_bit(mask_word(row, w), k);
    }
}

}  // namespace keisei::batch
