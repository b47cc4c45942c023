// How games end. Where several ends meet in one position the order is: no legal move, declaration,
// repetition, limit.
#pragma once

#include "shogi/platform.h"

namespace keisei::shogi {

enum class Ending : uint8_t {
    none = 0,
    no_legal_move = 1,
    declaration = 2,
    repetition = 3,
    perpetual_check = 4,
    move_limit = 5,  // no rule of shogi: the game stays undecided
};

// How many moves in a row, up to now, gave check: by the player to move and by the opponent.
struct CheckRuns {
    int mover;
    int opponent;

    // After the mover's move, seen by the next mover.
    KEISEI_HD CheckRuns after_move(bool gave_check) const {
        return {opponent, gave_check ? mover + 1 : 0};
    }
};

// What is known of a position within its game, seen by the player to move.
struct Standing {
    bool has_legal_move;
    bool can_declare;
    int times_before;       // earlier occurrences of the position
    int plies_since_first;  // since the first of them
    CheckRuns checks;
    int ply;        // moves since the game's start
    int max_plies;  // 0: no limit
};

// `mover_result` is +1, 0 or -1 for the player to move.
struct Verdict {
    Ending ending;
    int mover_result;
};

KEISEI_HD Verdict judge(const Standing& s) {
    constexpr int kOccurrencesThatEnd = 4;
    if (!s.has_legal_move) return {Ending::no_legal_move, -1};
    if (s.can_declare) return {Ending::declaration, 1};
    if (s.times_before + 1 >= kOccurrencesThatEnd) {
        // Sides alternate, so each made half of the moves since the first occurrence.
        const int moves_each = s.plies_since_first / 2;
        const bool mover_checked = s.checks.mover >= moves_each;
        const bool opponent_checked = s.checks.opponent >= moves_each;
        if (mover_checked == opponent_checked) return {Ending::repetition, 0};
        return {Ending::perpetual_check, mover_checked ? -1 : 1};
    }
    if (s.max_plies > 0 && s.ply >= s.max_plies) return {Ending::move_limit, 0};
    return {Ending::none, 0};
}

}  // namespace keisei::shogi
