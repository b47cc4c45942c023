#include "batch/gae.h"

namespace keisei::batch {

void gae_cpu(const GaeArgs& args, int64_t begin, int64_t end) {
    for (int64_t game = begin; game < end; ++game) gae_of_game(args, game);
}

}  // namespace keisei::batch
