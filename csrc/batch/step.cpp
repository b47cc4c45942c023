#include "batch/step.h"

#include <algorithm>

#include "batch/step_game.h"

namespace keisei::batch {
namespace {

int64_t step_game(const StepArgs& args, int64_t game) {
    const State& state = args.state;
    uint32_t* const row = state.mask_row(game);
    const int32_t clock = state.progress_of(CLOCK, game);
    write_idle(args, game);
    if (state.progress_of(PENDING, game) != 0) {
        begin_game(state, game, state.next_clock(clock), row);
        return kNoError;
    }
    const int64_t label = args.actions[game];
    if (!is_allowed(row, label)) return error_code(game, label);

    const Played played = play_move(state, game, static_cast<int>(label));
    write_result(args, game, played.moved, played.judged);
    return kNoError;
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
    for (int64_t game = begin; game < end; ++game) {
        error = std::min(error, step_game(args, game));
    }
    return error;
}

}  // namespace keisei::batch
