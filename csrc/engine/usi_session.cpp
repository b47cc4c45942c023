#include "engine/usi_session.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "engine/answer.h"
#include "engine/keep_alive.h"
#include "engine/search/random_bits.h"
#include "notation/usi.h"
#include "shogi/declaration.h"
#include "shogi/key.h"
#include "shogi/legal.h"

namespace keisei::engine {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kDeepest = 100'000;
constexpr std::string_view kNoBook = "no_book";  // as scripts write it for YaneuraOu
constexpr milliseconds kGrace{5};
constexpr milliseconds kGraceOfFirst{30};

int64_t since(std::chrono::steady_clock::time_point then,
              std::chrono::steady_clock::time_point now) {
    return std::chrono::duration_cast<milliseconds>(now - then).count();
}

ClockTimes times_of_mover(const GoCommand& go, const shogi::Position& position) {
    const bool white = position.white_to_move();
    return {.remaining = white ? go.wtime : go.btime,
            .increment = white ? go.winc : go.binc,
            .byoyomi = go.byoyomi,
            .movetime = go.movetime};
}

SearchState state_of(const SearchReport& report, int64_t elapsed, int64_t searched) {
    SearchState out{.elapsed = elapsed,
                    .searched = searched,
                    .nodes = report.nodes,
                    .best_visits = 0,
                    .second_visits = 0,
                    .settled = true};
    if (report.lines.empty()) return out;
    out.best_visits = report.lines[0].visits;
    for (std::size_t i = 1; i < report.lines.size(); ++i) {
        const SearchLine& line = report.lines[i];
        out.second_visits = std::max(out.second_visits, line.visits);
        if (line.visits > 0 && line.value > report.lines[0].value) out.settled = false;
    }
    return out;
}

}  // namespace

UsiSession::UsiSession(std::ostream& out, const Settings& defaults, LoadNetwork load_network)
    : output_(out),
      options_(defaults),
      player_(std::move(load_network), output_,
              [this](uint64_t start) { events_.put(News{start}); }) {}

int UsiSession::run(int in) {
    const LineReader reader(in, [this](std::optional<InputLine> line) {
        events_.put_patiently(line ? Event(std::move(*line)) : Event(EndOfInput{}));
    });
    while (!exit_status_) {
        const auto event = events_.take(next_time());
        if (!event) {
            on_time(Clock::now());
        } else if (const auto* news = std::get_if<News>(&*event)) {
            on_news(*news, Clock::now());
        } else if (const auto* line = std::get_if<InputLine>(&*event)) {
            take(*line);
        } else {
            exit_status_ = 0;
        }
    }
    end();
    events_.close();
    return *exit_status_;
}

bool UsiSession::take(const InputLine& line) {
    output_.log_input(line.text);
    try {
        if (line.cut) throw std::invalid_argument("a line longer than any command, ignored");
        handle(line);
    } catch (const std::exception& e) {
        // A bad line: said, and otherwise as if it had not come.
        output_.info_string(e.what());
    }
    return !exit_status_;
}

void UsiSession::end() {
    release();
}

void UsiSession::handle(const InputLine& line) {
    const auto words = split_words(line.text);
    if (words.empty()) return;
    const std::string_view command = words[0];
    if (command == "usi") {
        introduce();
    } else if (command == "isready") {
        get_ready();
    } else if (command == "setoption") {
        set_option(line.text);
    } else if (command == "position") {
        set_position(line.text);
    } else if (command == "go") {
        go(line);
    } else if (command == "ponderhit") {
        ponderhit(line);
    } else if (command == "stop" || command == "gameover") {
        release();
    } else if (command == "usinewgame") {
        release();
        player_.forget();
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
        load_book();
        player_.load(options_.settings());
    } catch (const std::exception& e) {
        // Without a model there is no player; GUIs notice an engine that ends, and show this line.
        output_.info_string(std::string("Error! ") + e.what());
        exit_status_ = 1;
        return;
    }
    output_.line("readyok");
}

void UsiSession::load_book() {
    const std::string& path = options_.settings().book_file;
    if (path == book_path_) return;
    book_ = Book();
    book_path_ = path;
    if (path.empty() || path == kNoBook) return;
    try {
        book_ = Book(path);
        output_.info_string("BookFile " + path + ": " + std::to_string(book_.positions()) +
                            " positions");
    } catch (const std::exception& e) {
        // A player without its book is still a player.
        output_.info_string(std::string("Error! ") + e.what() + "; it plays without a book");
        book_path_.clear();
    }
}

void UsiSession::set_option(std::string_view line) {
    const auto [name, value] = parse_setoption(line);
    const Settings before = options_.settings();
    const std::string complaint = options_.set(name, value);
    if (!complaint.empty()) output_.info_string(complaint);
    if (!output_.log_to(options_.settings().debug_log_file)) {
        output_.info_string("setoption DebugLogFile: expected a file that can be written, got '" +
                            printable(value, 80) + "', unchanged");
        options_.set(name, before.debug_log_file);
    }
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

void UsiSession::go(const InputLine& line) {
    release();
    std::vector<std::string> complaints;
    Going going{.command = parse_go(line.text, complaints),
                .game = game_.value_or(game::Game()),
                .settings = options_.settings(),
                .read = line.read,
                .clock_began = line.read,
                .shown = line.read};
    going.ponder = going.command.ponder;
    going.infinite = going.command.infinite;
    for (const auto& complaint : complaints) output_.info_string(complaint);
    try {
        if (!game_) throw std::runtime_error("go: the last position was refused");
        if (!answer_known(going)) {
            if (going.command.mate) {
                going.start =
                    player_.solve(going.game, {.memory_mib = going.settings.search.hash_mib});
            } else {
                // What changed since is for the next `isready`: here the clock runs.
                if (!player_.has_network()) player_.load(going.settings);
                going.stochastic = going.ponder && going.settings.stochastic_ponder &&
                                   going.game.plies_played() > 0 && !going.command.searchmoves;
                game::Game game = going.game;
                if (going.stochastic) game.pop();
                start_search(going, game);
            }
            if (!going.ponder) start_clock(going, going.command, going.read);
        }
    } catch (const std::exception& e) {
        output_.info_string(std::string("Error! ") + e.what());
        going.start = 0;
        going.answer = going.command.mate ? "checkmate timeout" : "bestmove resign";
    }
    going_ = std::move(going);
    if (!going_->answer.empty()) {
        if (!going_->ponder && !going_->infinite) {
            release();
        } else {
            for (const auto& info : going_->info) output_.line(info);
        }
    }
}

bool UsiSession::answer_known(Going& going) {
    const shogi::Position& position = going.game.position();
    if (going.command.mate) return false;
    const auto labels = notation::legal_labels(position);
    going.one_move = labels.size() == 1;
    if (labels.empty()) {
        going.info = {"info depth 0 time 0 nodes 0 score mate -1"};
        going.answer = "bestmove resign";
        return true;
    }
    if (going.command.searchmoves) return false;
    const Settings& settings = going.settings;
    if (shogi::can_declare(position, settings.search.declaration)) {
        going.info = {"info depth 0 time 0 nodes 0 score mate 1"};
        going.answer = "bestmove win";
        return true;
    }
    if (!settings.own_book || going.infinite || going.ponder ||
        going.game.ply() > settings.book_moves) {
        return false;
    }
    const auto moves = book_.moves(position);
    if (moves.empty()) return false;
    const uint64_t draw = mixed(mixed(settings.search.seed) ^ shogi::key(position));
    const BookMove& move = choose(moves, settings.book_eval_diff, draw);
    const std::string usi = notation::to_usi(position, move.label);
    const std::string reply = move.reply.empty() ? "" : " " + move.reply;
    going.info = {"info depth " + std::to_string(std::max(move.depth, 0)) +
                  " time 0 nodes 0 score cp " + std::to_string(move.score) + " pv " + usi + reply};
    going.answer = "bestmove " + usi + (move.reply.empty() ? "" : " ponder" + reply);
    return true;
}

void UsiSession::start_search(Going& going, const game::Game& game) {
    SearchLimits limits;
    limits.multipv = static_cast<int>(going.settings.multipv);
    if (!going.stochastic || !going.ponder) {
        const auto smaller = [](std::optional<int64_t> asked, int64_t option) {
            if (!asked) return option;
            return option > 0 ? std::min(*asked, option) : *asked;
        };
        limits.nodes = smaller(going.command.nodes, going.settings.nodes_limit);
        limits.depth = static_cast<int>(
            std::min(smaller(going.command.depth, going.settings.depth_limit), kDeepest));
        if (going.command.searchmoves) {
            going.root_labels = candidates(game, *going.command.searchmoves);
            if (going.root_labels.empty()) {
                throw std::runtime_error("go searchmoves: no legal move in it");
            }
            going.one_move = going.root_labels.size() == 1;
            limits.root_labels = going.root_labels;
        }
    }
    going.start = player_.search(going.settings, game, std::move(limits));
}

std::vector<int> UsiSession::candidates(const game::Game& game,
                                        const std::vector<std::string>& moves) {
    std::vector<int> labels;
    for (const auto& move : moves) {
        try {
            const int label = notation::parse_usi_move(game.position(), move);
            if (std::ranges::find(labels, label) == labels.end()) labels.push_back(label);
        } catch (const std::invalid_argument& e) {
            output_.info_string("go searchmoves: " + std::string(e.what()) + ", skipped");
        }
    }
    return labels;
}

void UsiSession::start_clock(Going& going, const GoCommand& times, Clock::time_point now) {
    going.clock_began = now;
    if (going.infinite) return;
    const TimeSettings& settings = going.settings.time;
    if (going.command.mate) {
        if (going.command.mate_time) {
            going.budget = time_budget({.movetime = going.command.mate_time}, settings, {});
        }
        return;
    }
    const ClockTimes clock = times_of_mover(times, going.game.position());
    const bool limited = going.command.nodes || going.command.depth ||
                         going.settings.nodes_limit > 0 || going.settings.depth_limit > 0;
    if (!clock.any() && limited) return;
    going.budget = time_budget(
        clock, settings,
        {.ply = going.game.ply(), .max_moves_to_draw = going.settings.search.max_moves_to_draw});
}

void UsiSession::ponderhit(const InputLine& line) {
    if (!going_ || !going_->ponder) {
        output_.info_string("ponderhit: no 'go ponder' is waiting, ignored");
        return;
    }
    std::vector<std::string> complaints;
    GoCommand times = parse_go(line.text, complaints);
    for (const auto& complaint : complaints) output_.info_string(complaint);
    Going& going = *going_;
    going.ponder = false;
    // ShogiHome's early pondering tells the times here, others told them with `go ponder`.
    const bool told =
        times.btime || times.wtime || times.byoyomi || times.binc || times.winc || times.movetime;
    start_clock(going, told ? times : going.command, line.read);
    if (!going.answer.empty()) {
        if (!going.infinite) release();
        return;
    }
    if (going.stochastic) {
        player_.stop();
        going.read = line.read;
        start_search(going, going.game);
        return;
    }
    const Progress progress = player_.look();
    if (progress.done && !going.infinite) {
        release();
    } else {
        look_at_clock(progress, Clock::now());
    }
}

UsiSession::Clock::time_point UsiSession::next_time() const {
    constexpr std::chrono::hours kLong{1};
    auto next = Clock::now() + kLong;
    if (!going_) return next;
    const Going& going = *going_;
    if (going.budget) {
        next = std::min(next, going.clock_began + milliseconds(going.budget->maximum));
    }
    if (going.answer_at) next = std::min(next, *going.answer_at);
    if (going.unshown)
        next = std::min(next, going.shown + milliseconds(going.settings.pv_interval));
    return next;
}

void UsiSession::on_time(Clock::time_point now) {
    if (!going_ || going_->start == 0) return;
    const Progress progress = player_.look();
    look_at_clock(progress, now);
    if (going_ && going_->unshown) show(progress, now);
}

void UsiSession::on_news(const News& news, Clock::time_point now) {
    // News of a search that has been answered may still come.
    if (!going_ || news.start != going_->start) return;
    const Progress progress = player_.look();
    if (progress.done && !going_->ponder && !going_->infinite) {
        release();
        return;
    }
    going_->unshown = !progress.report.lines.empty();
    look_at_clock(progress, now);
    if (going_ && going_->unshown) show(progress, now);
}

void UsiSession::look_at_clock(const Progress& progress, Clock::time_point now) {
    Going& going = *going_;
    if (going.ponder || going.infinite || !going.budget) return;
    if (going.answer_at && now >= *going.answer_at) return release();
    const int64_t elapsed = since(going.clock_began, now);
    if (elapsed >= going.budget->maximum) return release();
    if (going.answer_at || going.command.mate || progress.report.lines.empty()) return;
    const SearchState state = state_of(progress.report, elapsed, since(going.read, now));
    // Where there is nothing to choose or to find out, only `movetime` is waited for.
    const bool pointless = (going.one_move || progress.report.proved) && !going.command.movetime;
    if (!pointless && !time_to_answer(*going.budget, state)) return;
    const int64_t at = pointless ? elapsed : answer_time(*going.budget, elapsed);
    if (at <= elapsed) return release();
    going.answer_at = going.clock_began + milliseconds(at);
}

void UsiSession::show(const Progress& progress, Clock::time_point now) {
    Going& going = *going_;
    if (since(going.shown, now) < going.settings.pv_interval) return;
    game::Game game = going.game;
    if (going.stochastic && going.ponder) game.pop();
    for (const auto& line :
         info_lines(progress.report, game, going.settings.multipv, since(going.read, now))) {
        output_.line(line);
    }
    going.shown = now;
    going.unshown = false;
}

void UsiSession::release() {
    if (!going_) return;
    const Going going = std::move(*going_);
    going_.reset();
    if (!going.answer.empty()) {
        for (const auto& info : going.info) output_.line(info);
        output_.line(going.answer);
        return;
    }
    // A search that has only begun is about to know its first move.
    if (!going.command.mate) player_.reported_by(Clock::now() + kGraceOfFirst);
    // The search ends within microseconds, but on a machine with much to do its thread may get its
    // turn late: then what it reported last is the answer, and it ends behind.
    player_.stop();
    player_.idle_by(Clock::now() + kGrace);
    answer_from(going, player_.look());
}

void UsiSession::answer_from(const Going& going, const Progress& progress) {
    const int64_t age = since(going.read, Clock::now());
    if (!progress.error.empty()) output_.info_string("Error! " + progress.error);
    if (going.command.mate) {
        std::string answer = "checkmate timeout";
        if (progress.mate && progress.error.empty()) {
            const MateResult& mate = *progress.mate;
            if (mate.answer == MateAnswer::no_mate) answer = "checkmate nomate";
            if (mate.answer == MateAnswer::mate) {
                answer = "checkmate";
                for (const auto& move : usi_line(going.game, mate.labels)) answer += ' ' + move;
            }
        }
        output_.line(answer);
        return;
    }
    if (!progress.error.empty()) {
        output_.line("bestmove resign");
        return;
    }
    const bool other_position = going.stochastic && going.ponder;
    if (progress.report.lines.empty() || other_position) {
        // The time was up before the network had said anything; or the opponent's move, which was
        // pondered on together with its alternatives, was another one, and nobody plays this
        // answer.
        if (!other_position) output_.info_string("stopped before a move was evaluated");
        const int label = going.root_labels.empty()
                              ? notation::legal_labels(going.game.position()).front()
                              : going.root_labels.front();
        output_.line("bestmove " + notation::to_usi(going.game.position(), label));
        return;
    }
    for (const auto& line : info_lines(progress.report, going.game, going.settings.multipv, age)) {
        output_.line(line);
    }
    output_.line(best_move(progress.report, going.game, going.settings.resign_value));
}

}  // namespace keisei::engine
