#include "batch/uniform_sample.h"

namespace keisei::batch {

void uniform_sample_cpu(const UniformSampleArgs& args, int64_t begin, int64_t end) {
    for (int64_t game = begin; game < end; ++game) {
        args.action[game] = uniform_label(args.mask + game * kMaskWords, args.seed,
                                          args.first_game + game, args.clock[game]);
    }
}

}  // namespace keisei::batch
