// Games that one thread of the host moves side by side, through the phases of a move one after the
// other: so many lie in one cache line of each row of the state, and while one game waits for its
// history, asked for ahead, the others go on.
#pragma once

#include <algorithm>

#include "batch/step_game.h"

namespace keisei::batch {
inline namespace KEISEI_BITBOARD_FORM {

class GameBlock {
 public:
    static constexpr int kMost = 16;

    // Games first .. first + count - 1; their positions are kept here until `store`.
    GameBlock(const State& state, int64_t first, int count)
        : state_(state), first_(first), count_(count) {
        int32_t words[kPositionWords * kMost];
        for (int w = 0; w < kPositionWords; ++w) {
            std::copy_n(state.positions + w * state.games + first, count, words + w * kMost);
        }
        for (int i = 0; i < count; ++i) positions_[i] = load_position({words, 1, kMost}, i);
    }

    void store() const {
        int32_t words[kPositionWords * kMost];
        for (int i = 0; i < count_; ++i) store_position(words, 1, kMost, i, positions_[i]);
        for (int w = 0; w < kPositionWords; ++w) {
            std::copy_n(words + w * kMost, count_, state_.positions + w * state_.games + first_);
        }
    }

    int count() const { return count_; }
    int64_t game(int i) const { return first_ + i; }
    uint32_t* mask_row(int i) const { return state_.mask_row(game(i)); }

    // Begins the next game of a slot whose last one reached the move limit; false for any other.
    bool replace(int i) {
        if (state_.progress_of(PENDING, game(i)) == 0) return false;
        begin(i, state_.next_clock(state_.progress_of(CLOCK, game(i))));
        return true;
    }

    // Plays a legal label; `settle` finds out what follows.
    void play(int i, int label) {
        const int64_t g = game(i);
        positions_[i] = shogi::apply(positions_[i], label);
        moved_[i] =
            after_move(state_, state_.progress_of(CLOCK, g), state_.progress_of(PLY, g),
                       static_cast<uint32_t>(state_.progress_of(CHECK_RUNS, g)), positions_[i]);
        __builtin_prefetch(&bucket_of(state_, g, moved_[i].key), 1);
        playing_[plays_++] = i;
    }

    // What follows of all moves played since: legal moves, judgement, the next game where one
    // ended. Calls told(i, moved, judged) for each.
    template <typename Told>
    void settle(Told&& told) {
        for (int p = 0; p < plays_; ++p) {
            const int i = playing_[p];
            newest_[i] = bucket_of(state_, game(i), moved_[i].key);
            __builtin_prefetch(&state_.history_at(moved_[i].clock % state_.rows(), game(i)), 1);
            __builtin_prefetch(&state_.history_at(newest_[i], game(i)));
        }
        for (int p = 0; p < plays_; ++p) {
            const int i = playing_[p];
            const NextMoves next = next_moves(positions_[i], mask_row(i));
            batch::settle(next, mask_row(i), [&] { return positions_[i]; });
            const Recurrence seen = record_key(state_, game(i), moved_[i].clock, moved_[i].ply,
                                               moved_[i].key, newest_[i]);
            const Judged judged = judge_move(state_, moved_[i], next, mask_row(i), seen);
            told(i, moved_[i], judged);
            if (judged.begins_anew()) {
                begin(i, moved_[i].clock);
            } else {
                positions_[i].hand[0] = judged.hand;
                store_progress(state_, game(i), moved_[i], judged);
            }
        }
        plays_ = 0;
    }

 private:
    void begin(int i, int32_t clock) {
        positions_[i] = begin_slot(state_, game(i), clock, mask_row(i));
    }

    const State& state_;
    int64_t first_;
    int count_;
    int plays_ = 0;
    int playing_[kMost];
    shogi::Position positions_[kMost];
    Moved moved_[kMost];
    int32_t newest_[kMost];  // what the buckets of the new keys hold
};

// Calls f(first, count) for the blocks of a range of games.
template <typename F>
void for_each_block(int64_t begin, int64_t end, F&& f) {
    for (int64_t first = begin; first < end; first += GameBlock::kMost) {
        f(first, static_cast<int>(std::min<int64_t>(end - first, GameBlock::kMost)));
    }
}

}  // namespace KEISEI_BITBOARD_FORM
}  // namespace keisei::batch
