#include "batch/reset.h"

namespace keisei::batch {

void reset_cpu(const ResetArgs& args, int64_t begin, int64_t end) {
    const State& state = args.state;
    for (int64_t game = begin; game < end; ++game) {
        begin_game(state, game, state.progress_of(CLOCK, game),
                   reinterpret_cast<uint32_t*>(state.mask) + game * kMaskWords);
    }
}

}  // namespace keisei::batch
