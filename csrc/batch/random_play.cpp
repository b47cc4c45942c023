#include "batch/random_play.h"

#include "batch/game_block.h"
#include "batch/uniform_sample.h"

namespace keisei::batch {
namespace {

KEISEI_FLAT void play_block(const RandomPlayArgs& args, int64_t first, int count, int64_t* tally) {
    const State& state = args.state;
    GameBlock block(state, first, count);
    for (int32_t ply = 0; ply < args.plies; ++ply) {
        for (int i = 0; i < count; ++i) {
            if (block.replace(i)) continue;
            const int64_t game = block.game(i);
            const int label = uniform_label(block.mask_row(i), args.seed, state.first_game + game,
                                            state.progress_of(CLOCK, game));
            // No game of ours is left in a position without a legal move.
            if (label >= 0) block.play(i, label);
        }
        block.settle([&](int, const Moved&, const Judged& judged) {
            ++tally[0];
            if (judged.over()) ++tally[static_cast<int>(judged.verdict.ending)];
        });
    }
    block.store();
}

}  // namespace

void random_play_cpu(const RandomPlayArgs& args, int64_t begin, int64_t end, int64_t* tally) {
    for_each_block(begin, end,
                   [&](int64_t first, int count) { play_block(args, first, count, tally); });
}

}  // namespace keisei::batch
