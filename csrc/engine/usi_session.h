// One USI conversation: what each line means in the state the engine is in.
//
// Three threads: one reads lines, one searches, and the session's own takes events in their order -
// a line, news of the search, or that a time has come - and is the only one that answers. So the
// session has no locks, and whatever happens a `go` is answered once.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/book.h"
#include "engine/event_queue.h"
#include "engine/line_reader.h"
#include "engine/options.h"
#include "engine/player.h"
#include "engine/time_manager.h"
#include "engine/usi_output.h"
#include "engine/usi_parse.h"
#include "game/game.h"

namespace keisei::engine {

class UsiSession {
 public:
    UsiSession(std::ostream& out, const Settings& defaults, LoadNetwork load_network);

    // Converses over the file descriptor `in` until `quit`, the end of input, or a model that
    // cannot be loaded. Returns the exit status.
    int run(int in);

    // What one line means; for `run`, and for tests that bring their own lines. Returns whether the
    // conversation goes on.
    bool take(const InputLine& line);
    // As the end of input: gives the answer that is owed.
    void end();

 private:
    using Clock = std::chrono::steady_clock;

    struct EndOfInput {};
    struct News {  // of the player's work with this number
        uint64_t start;
    };
    using Event = std::variant<InputLine, EndOfInput, News>;

    // A `go` that has not been answered yet.
    struct Going {
        GoCommand command;
        game::Game game;  // the position of the answer
        Settings settings;
        Clock::time_point read;         // when `go` came: the search's age counts from here
        Clock::time_point clock_began;  // `go`, or `ponderhit`: the clock counts from here
        bool ponder = false;
        bool infinite = false;
        std::vector<int> root_labels = {};  // what `searchmoves` allows; empty: all
        uint64_t start = 0;                 // the player's work; 0: none, the answer is known
        bool stochastic = false;  // the search is about the position before the opponent's move
        bool one_move = false;    // there is no choice
        std::optional<TimeBudget> budget = {};            // while a clock runs
        std::optional<Clock::time_point> answer_at = {};  // decided by the budget
        std::vector<std::string> info = {};               // of an answer that is known
        std::string answer = {};                          // empty: the player's
        Clock::time_point shown;                          // when info lines were written last
        bool unshown = false;                             // a report came since
    };

    void handle(const InputLine& line);
    void introduce();
    void get_ready();
    void load_book();
    void set_option(std::string_view line);
    void set_position(std::string_view line);
    void go(const InputLine& line);
    void ponderhit(const InputLine& line);

    // The answer to a `go` that needs no search, if it is one.
    bool answer_known(Going& going);
    void start_search(Going& going, const game::Game& game);
    void start_clock(Going& going, const GoCommand& times, Clock::time_point now);
    // The legal ones among the moves that `go searchmoves` names.
    std::vector<int> candidates(const game::Game& game, const std::vector<std::string>& moves);

    // When the session has to wake up though nothing happens.
    Clock::time_point next_time() const;
    void on_time(Clock::time_point now);
    void on_news(const News& news, Clock::time_point now);
    void look_at_clock(const Progress& progress, Clock::time_point now);
    void show(const Progress& progress, Clock::time_point now);

    // Answers the `go` that waits, if one does: whatever ends a search, each `go` gets its answer.
    void release();
    void answer_from(const Going& going, const Progress& progress);

    UsiOutput output_;
    EventQueue<Event> events_;
    Options options_;
    Book book_;
    std::string book_path_;                          // of book_; empty: none
    std::optional<game::Game> game_ = game::Game();  // empty: the last `position` was refused
    std::optional<Going> going_;
    std::optional<int> exit_status_;
    Player player_;  // last: its thread uses output_ and events_
};

}  // namespace keisei::engine
