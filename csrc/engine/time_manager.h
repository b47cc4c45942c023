// How long to think on a move. Pure functions of what the clock says; nothing here reads a clock.
//
// All times are whole milliseconds, counted from the moment the line (`go`, or `ponderhit`) was
// read.
#pragma once

#include <cstdint>
#include <optional>

namespace keisei::engine {

// What `go` says of the side to move.
struct ClockTimes {
    std::optional<int64_t> remaining = {};  // btime or wtime; may be negative
    std::optional<int64_t> increment = {};  // binc or winc
    std::optional<int64_t> byoyomi = {};
    std::optional<int64_t> movetime = {};

    bool any() const { return remaining || increment || byoyomi || movetime; }
};

// The options of the same names.
struct TimeSettings {
    int64_t network_delay = 120;
    int64_t network_delay2 = 1120;
    int64_t minimum_thinking_time = 2000;
    int64_t slow_mover = 100;  // per cent
    bool round_up_to_full_second = false;
};

// Where the game stands, as far as it tells how many moves are still to come.
struct GameStage {
    int ply = 1;                    // the SFEN move number
    int64_t max_moves_to_draw = 0;  // 0: no limit
};

// 0 <= minimum <= optimum <= maximum.
struct TimeBudget {
    int64_t minimum;  // a shorter search does not end for time's sake
    int64_t optimum;  // a settled search ends when it is this old
    int64_t maximum;  // the answer is given here, whatever happens
    bool saves;       // whether time that is not used is there later; if not, all three are equal
    bool whole_seconds;     // the clock counts begun seconds: what is left of one costs nothing
    int64_t network_delay;  // and this much before the full second the answer has to leave
};

// A move must be sent at least the network's delay before the time is up: NetworkDelay2 where the
// clock decides the game, NetworkDelay where only `movetime` asks; where little time is left, half
// of it. Whether a runner has already added the increment to the remaining time differs between
// them, so the increment is only counted on where the rest is smaller than it; and where the rest
// is smaller than NetworkDelay2, less is spent than comes back. Without any time word the budget is
// MinimumThinkingTime, as if by `movetime`.
TimeBudget time_budget(const ClockTimes& times, const TimeSettings& settings,
                       const GameStage& stage);

// The state of a running search, seen by the clock.
struct SearchState {
    int64_t elapsed;        // since `go` or `ponderhit`
    int64_t searched;       // since the search began: more than `elapsed` after pondering
    int64_t nodes;          // of this search
    int64_t best_visits;    // of the move that would be played
    int64_t second_visits;  // the most of any other move
    bool settled;           // the most visited move is also the best by value
};

// Whether the search has done enough.
bool time_to_answer(const TimeBudget& budget, const SearchState& state);

// When to answer if it had done enough at `elapsed`: at once, or where begun seconds are counted,
// the network's delay before the second is full.
int64_t answer_time(const TimeBudget& budget, int64_t elapsed);

}  // namespace keisei::engine
