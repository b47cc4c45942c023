#include "batch/step.h"

#include <algorithm>

#include "batch/game_block.h"

namespace keisei::batch {
namespace {

KEISEI_FLAT int64_t step_block(const StepArgs& args, int64_t first, int count) {
    GameBlock block(args.state, first, count);
    int64_t error = kNoError;
    for (int i = 0; i < count; ++i) {
        const int64_t game = block.game(i);
        write_idle(args, game);
        if (block.replace(i)) continue;
        const int64_t label = args.actions[game];
        if (is_allowed(block.mask_row(i), label)) {
            block.play(i, static_cast<int>(label));
        } else {
            error = std::min(error, error_code(game, label));
        }
    }
    block.settle([&](int i, const Moved& moved, const Judged& judged) {
        write_result(args, block.game(i), moved, judged);
    });
    block.store();
    return error;
}

}  // namespace

int64_t first_illegal_cpu(const StepArgs& args) {
    for (int64_t game = 0; game < args.state.games; ++game) {
        if (args.state.progress_of(PENDING, game) != 0) continue;
        if (!is_allowed(args.state.mask_row(game), args.actions[game])) {
            return error_code(game, args.actions[game]);
        }
    }
    return kNoError;
}

int64_t step_cpu(const StepArgs& args, int64_t begin, int64_t end) {
    int64_t error = kNoError;
    for_each_block(begin, end, [&](int64_t first, int count) {
        error = std::min(error, step_block(args, first, count));
    });
    return error;
}

}  // namespace keisei::batch
