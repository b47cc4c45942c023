// One step of one game: the same functions on the CPU and the GPU. A step has parts, so that the
// history can be asked for while moves are made: shogi::apply and after_move, next_moves,
// record_key, judge_move.
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

// A game after its move, as far as is known before its legal moves are.
struct Moved {
    int32_t clock;
    int32_t ply;
    uint32_t runs;  // of checks before the move, as in `progress`
    uint64_t key;
    uint32_t hand;     // hand[0] of the new position
    bool may_declare;  // unless in check
};

KEISEI_HD Moved after_move(const State& state, int32_t clock, int32_t ply, uint32_t runs,
                           const shogi::Position& position) {
    Moved out;
    out.clock = state.next_clock(clock);
    out.ply = ply + 1;
    out.runs = runs;
    out.key = shogi::key(position);
    out.hand = position.hand[0];
    out.may_declare = shogi::can_declare(position, false);
    return out;
}

// The legal moves of the new position, all but a doubtful pawn drop. `any` gathers
// every plane but that of pawn drops.
struct NextMoves {
    shogi::Generated generated;
    bool any;
};

// `also(plane, destinations)` sees each plane as it is written.
template <typename Also>
KEISEI_HD NextMoves next_moves(const shogi::Position& position, uint32_t* row, Also&& also) {
    NextMoves out;
    shogi::Bitboard any = shogi::Bitboard::none();
    out.generated =
        shogi::for_each_pseudo_plane(position, [&](int plane, const shogi::Bitboard& to) {
            to.store(row + 3 * plane);
            if (plane != shogi::kDropPlane) any = any | to;
            also(plane, to);
        });
    out.any = any.any();
    return out;
}

KEISEI_HD NextMoves next_moves(const shogi::Position& position, uint32_t* row) {
    return next_moves(position, row, [](int, const shogi::Bitboard&) {});
}

// Takes the doubtful pawn drop out of a row if it mates; `position()` gives the position again.
// Returns whether it did.
template <typename PositionAgain>
KEISEI_HD bool settle(const NextMoves& next, uint32_t* row, PositionAgain&& position) {
    const int square = next.generated.doubtful_drop;
    if (square < 0 || !shogi::pawn_drop_mates(position(), square)) return false;
    forbid_pawn_drop(row, square);
    return true;
}

// What the move was worth, and the state after it, whichever way the game goes on.
struct Judged {
    shogi::Verdict verdict;
    uint32_t runs;
    uint32_t hand;  // hand[0] of the new position with its occurrence

    KEISEI_HD bool over() const { return verdict.ending != shogi::Ending::none; }
    KEISEI_HD bool truncated() const { return verdict.ending == shogi::Ending::move_limit; }
    KEISEI_HD bool begins_anew() const { return over() && !truncated(); }
};

// Judges the new position, `seen` being what its history says and `row` its settled legal moves.
KEISEI_HD Judged judge_move(const State& state, const Moved& moved, const NextMoves& next,
                            const uint32_t* row, const Recurrence& seen) {
    constexpr int kPawns = 3 * shogi::kDropPlane;
    const bool any = next.any || (row[kPawns] | row[kPawns + 1] | row[kPawns + 2]) != 0;
    const bool in_check = next.generated.in_check;
    const shogi::CheckRuns checks =
        shogi::CheckRuns{static_cast<int>(moved.runs & 0xffffu), static_cast<int>(moved.runs >> 16)}
            .after_move(in_check);
    Judged out;
    out.verdict = shogi::judge({any, moved.may_declare && !in_check, seen.times_before,
                                seen.plies_since_first, checks, moved.ply, state.max_plies});
    out.hand = shogi::with_occurrence(moved.hand, seen.times_before);
    out.runs = static_cast<uint32_t>(checks.mover & 0xffff) |
               (static_cast<uint32_t>(checks.opponent & 0xffff) << 16);
    return out;
}

// What a step that plays nothing tells of a game.
KEISEI_HD void write_idle(const StepArgs& args, int64_t game) {
    args.reward[game] = 0.0f;
    args.ending[game] = static_cast<uint8_t>(shogi::Ending::none);
    args.length[game] = 0;
    args.valid[game] = false;
}

KEISEI_HD void write_result(const StepArgs& args, int64_t game, const Moved& moved,
                            const Judged& judged) {
    args.reward[game] = static_cast<float>(-judged.verdict.mover_result);
    args.ending[game] = static_cast<uint8_t>(judged.verdict.ending);
    args.length[game] = judged.over() ? moved.ply : 0;
    args.valid[game] = true;
}

// The progress of a game that does not begin anew.
KEISEI_HD void store_progress(const State& state, int64_t game, const Moved& moved,
                              const Judged& judged) {
    state.progress_of(PLY, game) = moved.ply;
    state.progress_of(CLOCK, game) = moved.clock;
    state.progress_of(CHECK_RUNS, game) = static_cast<int32_t>(judged.runs);
    state.progress_of(PENDING, game) = judged.truncated() ? 1 : 0;
}

}  // namespace KEISEI_BITBOARD_FORM
}  // namespace keisei::batch
