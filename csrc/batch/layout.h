// How many games lie in memory. The live state is word-major (word w of game g at [w][g]), so that
// neighbouring threads read neighbouring addresses; rollout rows are position-major ([g][w]).
#pragma once

#include "shogi/legal.h"

namespace keisei::batch {

using shogi::kMaskWords;
using shogi::kPositionWords;
constexpr int kFirstHandWord = 15;  // of a packed position: hand[0]

// Packed positions in either layout.
struct PositionsView {
    const int32_t* words;
    int64_t game_stride;
    int64_t word_stride;
};

inline namespace KEISEI_BITBOARD_FORM {

KEISEI_HD shogi::Position load_position(const PositionsView& view, int64_t game) {
    const int32_t* const at = view.words + game * view.game_stride;
    const auto word = [&](int w) { return static_cast<uint32_t>(at[w * view.word_stride]); };
    return shogi::position_of_words(word);
}

KEISEI_HD void store_position(int32_t* words, int64_t game_stride, int64_t word_stride,
                              int64_t game, const shogi::Position& position) {
    int32_t* const at = words + game * game_stride;
    shogi::put_words(position, [&](int w, uint32_t value) {
        at[w * word_stride] = static_cast<int32_t>(value);
    });
}

}  // namespace KEISEI_BITBOARD_FORM

// Takes a pawn drop on a square out of a row of a mask.
KEISEI_HD void forbid_pawn_drop(uint32_t* row, int square) {
    const int w = square / shogi::kWordBits;
    row[3 * shogi::kDropPlane + w] &= ~(1u << (square - w * shogi::kWordBits));
}

// A word of a packed mask; the bits above the 27 labels say nothing, whatever they hold.
KEISEI_HD uint32_t mask_word(const uint32_t* row, int w) {
    return row[w] & shogi::kWordMask;
}

// Rows of the `progress` tensor, int32 [4, games].
enum ProgressRow : int {
    PLY = 0,         // moves since the game's start
    CLOCK = 1,       // moves that this slot has ever seen, over resets too; wraps near 2^31
    CHECK_RUNS = 2,  // moves in a row that gave check: mover's low 16 bits, opponent's high 16
    PENDING = 3,     // 1: the last move reached the move limit, the next step only resets
};
constexpr int kProgressRows = 4;

// Games whose histories lie together.
constexpr int kHistoryTile = 32;

// A row of `starts`: a packed position, then its legal mask.
constexpr int kStartWords = kPositionWords + kMaskWords;

}  // namespace keisei::batch
