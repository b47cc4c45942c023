// One USI conversation: what each line means in the state the engine is in.
#pragma once

#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model_loader.h"
#include "engine/options.h"
#include "engine/usi_output.h"
#include "engine/usi_parse.h"
#include "game/game.h"

namespace keisei::engine {

class UsiSession {
 public:
    UsiSession(std::istream& in, std::ostream& out, const Settings& defaults)
        : in_(in), output_(out), options_(defaults) {}

    // Until `quit`, the end of input, or a model that cannot be loaded. Returns the exit status.
    int run();

 private:
    // An answered `go` whose answer has to wait for `stop` or `ponderhit`.
    struct Held {
        std::string info;    // empty: none
        std::string answer;  // bestmove or checkmate
        bool ponder;
        bool infinite;
    };

    void handle(std::string_view line);
    void introduce();
    void get_ready();
    void set_option(std::string_view line);
    void set_position(std::string_view line);
    void go(std::string_view line);
    void ponderhit(std::string_view line);
    // Gives the held answer, if there is one: whatever ends a search, each `go` gets its answer.
    void release();
    void give(const Held& answer);

    std::string checkmate_answer();
    Held best_move(const GoCommand& command);
    // The legal ones among the moves that `go searchmoves` names.
    std::vector<int> candidates(const std::vector<std::string>& moves);

    std::istream& in_;
    UsiOutput output_;
    Options options_;
    ModelLoader model_;
    std::optional<game::Game> game_ = game::Game();  // empty: the last `position` was refused
    std::optional<Held> held_;
    std::optional<int> exit_status_;
};

}  // namespace keisei::engine
