// One step of one game: the same function on the CPU and the GPU.
#pragma once

#include "batch/state.h"
#include "batch/step.h"
#include "shogi/apply.h"
#include "shogi/declaration.h"
#include "shogi/outcome.h"

namespace keisei::batch {
inline namespace KEISEI_BITBOARD_FORM {

KEISEI_HD bool is_allowed(const uint32_t* mask_row, int64_t label) {
    if (label < 0 || label >= shogi::kLabels) return false;
    const int l = static_cast<int>(label);
    return (mask_row[l / shogi::kWordBits] >> (l % shogi::kWordBits)) & 1u;
}

KEISEI_HD const uint32_t* mask_row(const State& state, int64_t game) {
    return reinterpret_cast<const uint32_t*>(state.mask) + game * kMaskWords;
}

struct Recurrence {
    int times_before;
    int plies_since_first;
};

// Earlier occurrences of a key in the game. A position comes back after four plies at the soonest,
// and always after an even number of them.
KEISEI_HD Recurrence find_recurrence(const State& state, int64_t game, int32_t clock, int32_t ply,
                                     uint64_t key) {
    Recurrence out{0, 0};
    const int32_t rows = state.max_plies + 1;
    int32_t row = clock % rows;
    for (int32_t back = 2; back <= ply; back += 2) {
        row -= 2;
        if (row < 0) row += rows;
        if (back >= 4 && static_cast<uint64_t>(state.history[row * state.games + game]) == key) {
            ++out.times_before;
            out.plies_since_first = back;
        }
    }
    return out;
}

// Moves one game on. `next_mask` receives the 81 mask words of the position that it is left in; it
// may be the game's own row of the state. Returns what the caller must fold into the error cell:
// kNoError, or the code of an action that is not legal, in which case nothing but `valid` changed.
KEISEI_HD int64_t step_game(const StepArgs& args, int64_t game, uint32_t* next_mask) {
    const State& state = args.state;
    const uint32_t* const current_mask = mask_row(state, game);
    int32_t clock = state.progress_of(CLOCK, game);
    args.reward[game] = 0.0f;
    args.ending[game] = static_cast<uint8_t>(shogi::Ending::none);
    args.length[game] = 0;
    args.valid[game] = false;

    if (state.progress_of(PENDING, game) != 0) {
        begin_game(state, game, state.next_clock(clock), next_mask);
        return kNoError;
    }
    const int64_t label = args.actions[game];
    if (!is_allowed(current_mask, label)) {
        if (next_mask != current_mask) {
            for (int w = 0; w < kMaskWords; ++w) next_mask[w] = current_mask[w];
        }
        return error_code(game, label);
    }

    const shogi::Position before = load_position({state.positions, 1, state.games}, game);
    const shogi::Position after = shogi::apply(before, static_cast<int>(label));
    shogi::Bitboard any = shogi::Bitboard::none();
    const bool in_check =
        shogi::for_each_legal_plane(after, [&](int plane, const shogi::Bitboard& to) {
            to.store(next_mask + 3 * plane);
            any = any | to;
        });

    clock = state.next_clock(clock);
    const int32_t ply = state.progress_of(PLY, game) + 1;
    const uint32_t runs = static_cast<uint32_t>(state.progress_of(CHECK_RUNS, game));
    const shogi::CheckRuns checks =
        shogi::CheckRuns{static_cast<int>(runs & 0xffffu), static_cast<int>(runs >> 16)}.after_move(
            in_check);
    const uint64_t key = shogi::key(after);
    const Recurrence seen = find_recurrence(state, game, clock, ply, key);
    const shogi::Verdict verdict =
        shogi::judge({any.any(), shogi::can_declare(after, in_check), seen.times_before,
                      seen.plies_since_first, checks, ply, state.max_plies});

    args.valid[game] = true;
    args.ending[game] = static_cast<uint8_t>(verdict.ending);
    args.reward[game] = static_cast<float>(-verdict.mover_result);
    const bool over = verdict.ending != shogi::Ending::none;
    args.length[game] = over ? ply : 0;
    if (over && verdict.ending != shogi::Ending::move_limit) {
        begin_game(state, game, clock, next_mask);
        return kNoError;
    }
    store_position(state.positions, 1, state.games, game,
                   shogi::with_occurrence(after, seen.times_before));
    state.progress_of(PLY, game) = ply;
    state.progress_of(CLOCK, game) = clock;
    state.progress_of(CHECK_RUNS, game) =
        static_cast<int32_t>(static_cast<uint32_t>(checks.mover & 0xffff) |
                             (static_cast<uint32_t>(checks.opponent & 0xffff) << 16));
    state.progress_of(PENDING, game) = over ? 1 : 0;
    state.key_at(clock, game) = static_cast<int64_t>(key);
    return kNoError;
}

}  // namespace KEISEI_BITBOARD_FORM
}  // namespace keisei::batch
