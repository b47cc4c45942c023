// The state of many games as raw pointers, and what resetting one game does to it. Shared by the
// operations `reset`, `step` and `random_play`.
#pragma once

#include "batch/layout.h"
#include "shogi/key.h"

namespace keisei::batch {

struct State {
    int32_t* positions;     // [17, games]
    int32_t* progress;      // [4, games]
    int64_t* history;       // [tiles of 32 games, max_plies + 1, 32]; row = clock % (max_plies + 1)
    uint16_t* buckets;      // [games, bucket_count]: the newest row whose key fell into the bucket
    const int32_t* starts;  // [start_count, 98]
    int32_t* mask;          // [games, 81], legal labels of the current positions
    int64_t games;
    int64_t bucket_count;  // a power of two
    int64_t start_count;
    int64_t first_game;  // global index of game 0
    int32_t max_plies;

    KEISEI_HD int32_t& progress_of(int row, int64_t game) const {
        return progress[row * games + game];
    }
    KEISEI_HD uint32_t* mask_row(int64_t game) const {
        return reinterpret_cast<uint32_t*>(mask) + game * kMaskWords;
    }
    KEISEI_HD int32_t rows() const { return max_plies + 1; }
    // A tile's rows lie together, so that looking back stays within a page of memory, and the games
    // of a warp write one row in one go.
    KEISEI_HD int64_t& history_at(int32_t row, int64_t game) const {
        const auto g = static_cast<uint64_t>(game);
        const uint64_t tile = g / kHistoryTile;
        return history[(tile * static_cast<uint64_t>(rows()) + static_cast<uint64_t>(row)) *
                           kHistoryTile +
                       g % kHistoryTile];
    }
    // How many plies before `row` the row `at` was written; 0 if there is no such row, since
    // buckets that no game wrote may hold anything.
    KEISEI_HD int32_t age_of(int32_t at, int32_t row) const {
        return at >= rows() ? 0 : row >= at ? row - at : row - at + rows();
    }
    // Clocks wrap to 0 at a multiple of the history's rows, so that the ring goes on unbroken.
    KEISEI_HD int32_t next_clock(int32_t clock) const {
        return clock + 1 < INT32_MAX / rows() * rows() ? clock + 1 : 0;
    }
    KEISEI_HD const int32_t* start_of(int64_t game) const {
        return start_count == 1 ? starts
                                : starts + ((first_game + game) % start_count) * kStartWords;
    }
};

struct Recurrence {
    int times_before;
    int plies_since_first;
};

KEISEI_HD uint16_t& bucket_of(const State& state, int64_t game, uint64_t key) {
    return state.buckets[game * state.bucket_count +
                         static_cast<int64_t>((key >> 48) & (state.bucket_count - 1))];
}

// Enters the key of a game's new position into its history and says where it occurred before.
// `first` is what its bucket holds and `entry` the row that this names, or any where there is none:
// asked for beforehand, so that the answers are there in time.
//
// A row of the history holds the low 48 bits of a key and, below them, the row before it in its
// chain; the high 16 bits chose the bucket, so 57 bits decide at 512 buckets. Nothing is cleared
// when a game begins: a row belongs to the present game if it is not older than the game, and rows
// grow older along a chain. So a bucket or a link that an earlier game left behind either ends the
// chain at once or leads into another chain, whose keys do not match.
KEISEI_HD Recurrence record_key(const State& state, int64_t game, int32_t clock, int32_t ply,
                                uint64_t key, int32_t first, uint64_t entry) {
    const int32_t row = clock % state.rows();
    const uint64_t kept = key << 16;
    Recurrence out{0, 0};
    int32_t at = first;
    int32_t younger = 0;
    while (true) {
        const int32_t age = state.age_of(at, row);
        if (age <= younger || age > ply) break;
        if (younger != 0) entry = static_cast<uint64_t>(state.history_at(at, game));
        if ((entry ^ kept) < (uint64_t{1} << 16)) {
            ++out.times_before;
            out.plies_since_first = age;
        }
        younger = age;
        at = static_cast<int32_t>(entry & 0xffff);
    }
    state.history_at(row, game) = static_cast<int64_t>(kept | static_cast<uint64_t>(first));
    bucket_of(state, game, key) = static_cast<uint16_t>(row);
    return out;
}

KEISEI_HD Recurrence record_key(const State& state, int64_t game, int32_t clock, int32_t ply,
                                uint64_t key, int32_t first) {
    const int32_t row = first < state.rows() ? first : 0;
    return record_key(state, game, clock, ply, key, first,
                      static_cast<uint64_t>(state.history_at(row, game)));
}

inline namespace KEISEI_BITBOARD_FORM {

// What a new game in a slot sets apart from the position and the mask.
KEISEI_HD void begin_progress(const State& state, int64_t game, int32_t clock,
                              const shogi::Position& start) {
    state.progress_of(PLY, game) = 0;
    state.progress_of(CLOCK, game) = clock;
    state.progress_of(CHECK_RUNS, game) = 0;
    state.progress_of(PENDING, game) = 0;
    const uint64_t key = shogi::key(start);
    record_key(state, game, clock, 0, key, bucket_of(state, game, key));
}

// The same with the mask, of which `mask` receives the 81 words. Returns the start position.
KEISEI_HD shogi::Position begin_slot(const State& state, int64_t game, int32_t clock,
                                     uint32_t* mask) {
    const int32_t* const start = state.start_of(game);
    const shogi::Position position = load_position({start, kStartWords, 1}, 0);
    for (int w = 0; w < kMaskWords; ++w) mask[w] = static_cast<uint32_t>(start[kPositionWords + w]);
    begin_progress(state, game, clock, position);
    return position;
}

// Begins a new game in a slot at the given clock. `mask` receives the 81 words of its legal mask.
KEISEI_HD void begin_game(const State& state, int64_t game, int32_t clock, uint32_t* mask) {
    store_position(state.positions, 1, state.games, game, begin_slot(state, game, clock, mask));
}

}  // namespace KEISEI_BITBOARD_FORM
}  // namespace keisei::batch
