#include "engine/usi_session.h"

#include <chrono>
#include <stdexcept>

#include "engine/keep_alive.h"
#include "engine/mate_in_one.h"
#include "engine/policy_player.h"
#include "notation/usi.h"

namespace keisei::engine {
namespace {

using Clock = std::chrono::steady_clock;

std::string info_line(const Decision& decision, Clock::time_point since) {
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - since).count();
    std::string out = "info depth " + std::to_string(decision.depth) + " time " +
                      std::to_string(ms) + " nodes " + std::to_string(decision.nodes) + " score " +
                      decision.score;
    if (!decision.pv.empty()) out += " pv " + decision.pv;
    return out;
}

}  // namespace

int UsiSession::run() {
    std::string line;
    while (!exit_status_ && std::getline(in_, line)) {
        try {
            handle(line);
        } catch (const std::exception& e) {
            // A bad line: said, and otherwise as if it had not come.
            output_.info_string(e.what());
        }
    }
    release();
    return exit_status_.value_or(0);
}

void UsiSession::handle(std::string_view line) {
    const auto words = split_words(line);
    if (words.empty()) return;
    const std::string_view command = words[0];
    if (command == "usi") {
        introduce();
    } else if (command == "isready") {
        get_ready();
    } else if (command == "setoption") {
        set_option(line);
    } else if (command == "position") {
        set_position(line);
    } else if (command == "go") {
        go(line);
    } else if (command == "ponderhit") {
        ponderhit(line);
    } else if (command == "stop" || command == "usinewgame" || command == "gameover") {
        release();
    } else if (command == "quit") {
        exit_status_ = 0;
    } else {
        output_.info_string("unknown command '" + printable(command, 80) + "', ignored");
    }
}

void UsiSession::introduce() {
    output_.line("id name keisei " KEISEI_VERSION);
    output_.line("id author the keisei developers");
    options_.declare(output_);
    output_.line("usiok");
}

void UsiSession::get_ready() {
    release();
    try {
        const KeepAlive keep_alive(output_);
        model_.load(options_.settings(), output_);
    } catch (const std::exception& e) {
        // Without a model there is no player; GUIs notice an engine that ends, and show this line.
        output_.info_string(std::string("Error! ") + e.what());
        exit_status_ = 1;
        return;
    }
    output_.line("readyok");
}

void UsiSession::set_option(std::string_view line) {
    const auto [name, value] = parse_setoption(line);
    const std::string complaint = options_.set(name, value);
    if (!complaint.empty()) output_.info_string(complaint);
}

void UsiSession::set_position(std::string_view line) {
    // Until the whole line has proved good there is no position: `go` must not move in an old one.
    game_.reset();
    const PositionCommand command = parse_position(line);
    // A mate problem may lack the attacker's king.
    game::Game game = command.sfen.empty() ? game::Game() : game::Game(command.sfen, true);
    for (const auto& move : command.moves) {
        game.push(notation::parse_usi_move(game.position(), move));
    }
    game_ = std::move(game);
}

void UsiSession::go(std::string_view line) {
    release();
    std::vector<std::string> complaints;
    const GoCommand command = parse_go(line, complaints);
    for (const auto& complaint : complaints) output_.info_string(complaint);

    Held held = command.mate ? Held{{}, checkmate_answer(), false, false} : best_move(command);
    held.ponder = command.ponder;
    held.infinite = command.infinite;
    if (!held.ponder && !held.infinite) {
        give(held);
        return;
    }
    if (!held.info.empty()) output_.line(held.info);
    held_ = std::move(held);
}

std::string UsiSession::checkmate_answer() {
    if (!game_) {
        output_.info_string("go mate: the last position was refused");
        return "checkmate timeout";
    }
    return "checkmate " + answer_mate(game_->position());
}

UsiSession::Held UsiSession::best_move(const GoCommand& command) {
    const auto since = Clock::now();
    try {
        if (!game_) throw std::runtime_error("go: the last position was refused");
        if (model_.evaluator() == nullptr) model_.load(options_.settings(), output_);
        std::vector<int> labels;
        if (command.searchmoves) {
            labels = candidates(*command.searchmoves);
            if (labels.empty()) throw std::runtime_error("go searchmoves: no legal move in it");
        }
        const Decision decision = decide(*game_, *model_.evaluator(), options_.settings(),
                                         command.searchmoves ? &labels : nullptr);
        return {info_line(decision, since), "bestmove " + decision.best, false, false};
    } catch (const std::exception& e) {
        output_.info_string(std::string("Error! ") + e.what());
        return {{}, "bestmove resign", false, false};
    }
}

std::vector<int> UsiSession::candidates(const std::vector<std::string>& moves) {
    std::vector<int> labels;
    for (const auto& move : moves) {
        try {
            labels.push_back(notation::parse_usi_move(game_->position(), move));
        } catch (const std::invalid_argument& e) {
            output_.info_string("go searchmoves: " + std::string(e.what()) + ", skipped");
        }
    }
    return labels;
}

void UsiSession::ponderhit(std::string_view line) {
    if (!held_ || !held_->ponder) {
        output_.info_string("ponderhit: no 'go ponder' is waiting, ignored");
        return;
    }
    std::vector<std::string> complaints;
    parse_go(line, complaints);
    for (const auto& complaint : complaints) output_.info_string(complaint);
    held_->ponder = false;
    if (!held_->infinite) release();
}

void UsiSession::release() {
    if (!held_) return;
    give(*held_);
    held_.reset();
}

void UsiSession::give(const Held& answer) {
    if (!answer.info.empty()) output_.line(answer.info);
    output_.line(answer.answer);
}

}  // namespace keisei::engine
