// The state of many games as raw pointers, and what resetting one game does to it. Shared by the
// operations `reset` and `step`.
#pragma once

#include "batch/layout.h"
#include "shogi/key.h"

namespace keisei::batch {

struct State {
    int32_t* positions;     // [17, games]
    int32_t* progress;      // [4, games]
    int64_t* history;       // [max_plies + 1, games], keys; row = clock % (max_plies + 1)
    const int32_t* starts;  // [start_count, 98]
    int32_t* mask;          // [games, 81], legal labels of the current positions
    int64_t games;
    int64_t start_count;
    int64_t first_game;  // global index of game 0
    int32_t max_plies;

    KEISEI_HD int32_t& progress_of(int row, int64_t game) const {
        return progress[row * games + game];
    }
    KEISEI_HD int64_t& key_at(int64_t clock, int64_t game) const {
        return history[(clock % (max_plies + 1)) * games + game];
    }
    // Clocks wrap to 0 at a multiple of the history's rows, so that the ring goes on unbroken.
    KEISEI_HD int32_t next_clock(int32_t clock) const {
        const int32_t rows = max_plies + 1;
        return clock + 1 < INT32_MAX / rows * rows ? clock + 1 : 0;
    }
    KEISEI_HD const int32_t* start_of(int64_t game) const {
        return starts + ((first_game + game) % start_count) * kStartWords;
    }
};

inline namespace KEISEI_BITBOARD_FORM {

// Begins a new game in a slot at the given clock. `mask` receives the 81 words of its legal mask.
KEISEI_HD void begin_game(const State& state, int64_t game, int32_t clock, uint32_t* mask) {
    const int32_t* const start = state.start_of(game);
    const shogi::Position position = load_position({start, kStartWords, 1}, 0);
    store_position(state.positions, 1, state.games, game, position);
    for (int w = 0; w < kMaskWords; ++w) mask[w] = static_cast<uint32_t>(start[kPositionWords + w]);
    state.progress_of(PLY, game) = 0;
    state.progress_of(CLOCK, game) = clock;
    state.progress_of(CHECK_RUNS, game) = 0;
    state.progress_of(PENDING, game) = 0;
    state.key_at(clock, game) = static_cast<int64_t>(shogi::key(position));
}

}  // namespace KEISEI_BITBOARD_FORM
}  // namespace keisei::batch
