#include "batch/random_play.h"

#include "batch/step_game.h"
#include "batch/uniform_sample.h"

namespace keisei::batch {

void random_play_cpu(const RandomPlayArgs& args, int64_t begin, int64_t end, int64_t* tally) {
    const State& state = args.state;
    for (int64_t game = begin; game < end; ++game) {
        for (int32_t ply = 0; ply < args.plies; ++ply) {
            if (state.progress_of(PENDING, game) != 0) {
                begin_game(state, game, state.next_clock(state.progress_of(CLOCK, game)),
                           state.mask_row(game));
                continue;
            }
            const int label =
                uniform_label(state.mask_row(game), args.seed, state.first_game + game,
                              state.progress_of(CLOCK, game));
            if (label < 0) continue;  // no game of ours is left in such a position
            const Played played = play_move(state, game, label);
            ++tally[0];
            if (played.judged.over()) ++tally[static_cast<int>(played.judged.verdict.ending)];
        }
    }
}

}  // namespace keisei::batch
