#include "engine/time_manager.h"

#include <algorithm>

namespace keisei::engine {
namespace {

constexpr int64_t kSecond = 1000;
constexpr int64_t kPercent = 100;
// More than any clock, and far from where sums of times could overflow.
constexpr int64_t kLongest = 1'000'000'000'000;
// Own moves still to come that the rest of the time is shared among: more in the opening, and never
// fewer than these, as nobody knows when a game ends.
constexpr int64_t kMovesAtStart = 50;
constexpr int64_t kPliesPerMoveFewer = 4;
constexpr int64_t kFewestMoves = 25;
// An unsettled search may take this many times the optimum, but no more than this part of the rest.
constexpr int64_t kStretch = 4;
constexpr int64_t kLargestPart = 4;
// MinimumThinkingTime takes no more than this part of the rest: sudden death would come soon.
constexpr int64_t kMinimumPart = 10;

int64_t bounded(std::optional<int64_t> time) {
    return std::clamp<int64_t>(time.value_or(0), 0, kLongest);
}

int64_t less_delay(int64_t time, int64_t delay) {
    return time - std::min(delay, time / 2);
}

int64_t moves_to_come(const GameStage& stage) {
    const int64_t ply = std::max(stage.ply, 1);
    const int64_t moves = std::max(kFewestMoves, kMovesAtStart - ply / kPliesPerMoveFewer);
    if (stage.max_moves_to_draw <= 0) return moves;
    return std::clamp<int64_t>((stage.max_moves_to_draw - ply) / 2 + 1, 1, moves);
}

TimeBudget exactly(int64_t time, const TimeSettings& settings) {
    return {time, time, time, false, false, settings.network_delay};
}

}  // namespace

TimeBudget time_budget(const ClockTimes& times, const TimeSettings& settings,
                       const GameStage& stage) {
    if (times.movetime) {
        return exactly(less_delay(bounded(times.movetime), settings.network_delay), settings);
    }
    if (!times.any()) return exactly(settings.minimum_thinking_time, settings);

    const int64_t rest = bounded(times.remaining);
    const int64_t increment = bounded(times.increment);
    const int64_t byoyomi = bounded(times.byoyomi);
    const int64_t available = byoyomi > 0 ? rest + byoyomi : std::max(rest, increment);
    int64_t maximum = less_delay(available, settings.network_delay2);
    if (byoyomi == 0 && increment > 0) {
        // A reserve of the delay is kept, or filled up again by spending less than comes back:
        // a clock that lives on its increments alone is lost to one stall of the machine.
        const int64_t above_reserve = rest - settings.network_delay2;
        maximum = std::min(maximum,
                           std::max(above_reserve, less_delay(increment, settings.network_delay)));
    }
    // Byoyomi that is not used is lost.
    if (rest == 0 && increment == 0) return exactly(maximum, settings);

    const int64_t each_move = byoyomi > 0 ? byoyomi : increment;
    const int64_t share = rest / moves_to_come(stage) * settings.slow_mover / kPercent;
    const int64_t optimum = std::min(maximum, share + each_move);
    TimeBudget budget{};
    budget.maximum = std::min(
        maximum, std::max(optimum, std::min(kStretch * optimum, rest / kLargestPart + each_move)));
    budget.minimum =
        std::min({settings.minimum_thinking_time, rest / kMinimumPart + each_move, budget.maximum});
    budget.optimum = std::max(optimum, budget.minimum);
    budget.saves = true;
    budget.whole_seconds = settings.round_up_to_full_second;
    budget.network_delay = settings.network_delay;
    return budget;
}

bool time_to_answer(const TimeBudget& budget, const SearchState& state) {
    if (state.elapsed >= budget.maximum) return true;
    if (!budget.saves || state.searched < budget.minimum) return false;
    if (state.searched >= budget.optimum) return state.settled;
    if (state.searched <= 0) return false;
    // Even if all that follows went to the second move, it would stay behind.
    const double rate = static_cast<double>(state.nodes) / static_cast<double>(state.searched);
    const double to_come = rate * static_cast<double>(budget.optimum - state.searched);
    return static_cast<double>(state.best_visits - state.second_visits) > to_come;
}

int64_t answer_time(const TimeBudget& budget, int64_t elapsed) {
    if (!budget.whole_seconds) return std::min(elapsed, budget.maximum);
    const int64_t arrives = elapsed + budget.network_delay;
    const int64_t full = (arrives + kSecond - 1) / kSecond * kSecond;
    return std::min(full - budget.network_delay, budget.maximum);
}

}  // namespace keisei::engine
