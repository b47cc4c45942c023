#include "batch/step.h"

#include <algorithm>

#include "batch/step_game.h"

namespace keisei::batch {

int64_t first_illegal_cpu(const StepArgs& args) {
    for (int64_t game = 0; game < args.state.games; ++game) {
        if (args.state.progress_of(PENDING, game) != 0) continue;
        if (!is_allowed(mask_row(args.state, game), args.actions[game])) {
            return error_code(game, args.actions[game]);
        }
    }
    return kNoError;
}

int64_t step_cpu(const StepArgs& args, int64_t begin, int64_t end) {
    int64_t error = kNoError;
    for (int64_t game = begin; game < end; ++game) {
        auto* const row = reinterpret_cast<uint32_t*>(args.state.mask) + game * kMaskWords;
        error = std::min(error, step_game(args, game, row));
    }
    return error;
}

}  // namespace keisei::batch
