#include "batch/step.h"

#include <algorithm>

#include "batch/step_game.h"

namespace keisei::batch {
namespace {

// Games that one thread steps side by side, through the phases of a step one after the other: so
// many lie in one cache line of each row of the state, and while one game waits for its history,
// fetched ahead, the others go on.
constexpr int kSide = 16;

// Positions as the state holds them: word after word, the block's games side by side.
void load_positions(const State& state, int64_t first, int count, shogi::Position* out) {
    int32_t words[kPositionWords * kSide];
    for (int w = 0; w < kPositionWords; ++w) {
        std::copy_n(state.positions + w * state.games + first, count, words + w * kSide);
    }
    for (int i = 0; i < count; ++i) out[i] = load_position({words, 1, kSide}, i);
}

void store_positions(const State& state, int64_t first, int count, const shogi::Position* from) {
    int32_t words[kPositionWords * kSide];
    for (int i = 0; i < count; ++i) store_position(words, 1, kSide, i, from[i]);
    for (int w = 0; w < kPositionWords; ++w) {
        std::copy_n(words + w * kSide, count, state.positions + w * state.games + first);
    }
}

KEISEI_FLAT int64_t step_block(const StepArgs& args, int64_t first, int count) {
    const State& state = args.state;
    shogi::Position positions[kSide];
    load_positions(state, first, count, positions);

    int64_t error = kNoError;
    Moved moves[kSide];
    int playing[kSide];
    int plays = 0;
    for (int i = 0; i < count; ++i) {
        const int64_t game = first + i;
        uint32_t* const row = state.mask_row(game);
        write_idle(args, game);
        if (state.progress_of(PENDING, game) != 0) {
            const int32_t clock = state.next_clock(state.progress_of(CLOCK, game));
            positions[i] = begin_slot(state, game, clock, row);
            continue;
        }
        const int64_t label = args.actions[game];
        if (!is_allowed(row, label)) {
            error = std::min(error, error_code(game, label));
            continue;
        }
        positions[i] = shogi::apply(positions[i], static_cast<int>(label));
        moves[i] =
            after_move(state, state.progress_of(CLOCK, game), state.progress_of(PLY, game),
                       static_cast<uint32_t>(state.progress_of(CHECK_RUNS, game)), positions[i]);
        __builtin_prefetch(&bucket_of(state, game, moves[i].key), 1);
        playing[plays++] = i;
    }
    for (int p = 0; p < plays; ++p) {
        const int64_t game = first + playing[p];
        Moved& moved = moves[playing[p]];
        moved.newest = bucket_of(state, game, moved.key);
        __builtin_prefetch(&state.history_at(moved.clock % state.rows(), game), 1);
        __builtin_prefetch(&state.history_at(moved.newest, game));
    }
    for (int p = 0; p < plays; ++p) {
        const int i = playing[p];
        const int64_t game = first + i;
        uint32_t* const row = state.mask_row(game);
        const NextMoves next = next_moves(positions[i], row);
        settle(next, row, [&] { return positions[i]; });
        const Judged judged = judge_move(state, game, moves[i], next, row);
        write_result(args, game, moves[i], judged);
        if (judged.begins_anew()) {
            positions[i] = begin_slot(state, game, moves[i].clock, row);
        } else {
            positions[i].hand[0] = judged.hand;
            store_progress(state, game, moves[i], judged);
        }
    }
    store_positions(state, first, count, positions);
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
    for (int64_t first = begin; first < end; first += kSide) {
        const int64_t count = std::min<int64_t>(end - first, kSide);
        error = std::min(error, step_block(args, first, static_cast<int>(count)));
    }
    return error;
}

}  // namespace keisei::batch
