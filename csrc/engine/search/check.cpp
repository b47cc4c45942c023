// keisei_search_check: the search without USI and without libtorch, told what to do line by line,
// for tests. Every command is answered by lines of which the last is `done`.
//
//   set NAME NUMBER             a setting, see kSettings; or: evaluator mock|uniform|held
//   position [sfen SFEN] [moves MOVE ...]
//   go [nodes N] [depth D] [multipv M] [stop_at NODES] [report MS] [only MOVE ...]
//   mate [nodes N] [mib M]      the mate search
//   held                        a search whose evaluator does not come back is stopped
//   bench [nodes N] [seconds S] [json]
//   clear
#include <algorithm>
#include <condition_variable>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "engine/search/bench.h"
#include "engine/search/mate.h"
#include "engine/search/mock_evaluator.h"
#include "engine/search/search.h"
#include "engine/uniform_evaluator.h"
#include "notation/sfen.h"
#include "notation/usi.h"

namespace {

using namespace keisei;
using namespace keisei::engine;

// Stops answering when told to.
class HeldEvaluator final : public Evaluator {
 public:
    void evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                  std::span<float> values) override {
        {
            std::unique_lock lock(mutex_);
            if (hold_) ++waiting_;
            changed_.notify_all();
            changed_.wait(lock, [&] { return !hold_; });
        }
        mock_.evaluate(positions, logits, values);
    }
    std::string describe() const override { return "held"; }

    void hold(bool on) {
        const std::lock_guard lock(mutex_);
        hold_ = on;
        waiting_ = 0;
        changed_.notify_all();
    }
    void await_caller() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return waiting_ > 0; });
    }

 private:
    MockEvaluator mock_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool hold_ = false;
    int waiting_ = 0;
};

class Check {
 public:
    Check() { use(mock_); }

    void handle(const std::string& line) {
        std::istringstream words(line);
        std::string command;
        words >> command;
        if (command == "set") {
            set(words);
        } else if (command == "evaluator") {
            std::string name;
            words >> name;
            use(name == "uniform" ? static_cast<Evaluator&>(uniform_)
                : name == "held"  ? static_cast<Evaluator&>(held_)
                                  : static_cast<Evaluator&>(mock_));
        } else if (command == "position") {
            position(words);
        } else if (command == "go") {
            go(words);
        } else if (command == "mate") {
            mate(words);
        } else if (command == "held") {
            held();
        } else if (command == "bench") {
            run_bench(words);
        } else if (command == "clear") {
            search_.clear();
        } else {
            throw std::invalid_argument("unknown command " + command);
        }
    }

 private:
    void use(Evaluator& evaluator) {
        Evaluator* const one = &evaluator;
        search_.set_evaluators({&one, 1});
        search_.set_position(game_);
    }

    void set(std::istringstream& words) {
        std::string name;
        double value = 0;
        words >> name >> value;
        const auto whole = static_cast<int>(value);
        const std::map<std::string, std::function<void(SearchSettings&)>> kSettings = {
            {"threads", [&](auto& s) { s.threads = whole; }},
            {"batch", [&](auto& s) { s.batch_size = whole; }},
            {"hash", [&](auto& s) { s.hash_mib = whole; }},
            {"max_moves", [&](auto& s) { s.max_moves_to_draw = whole; }},
            {"rule", [&](auto& s) { s.declaration = static_cast<shogi::DeclarationRule>(whole); }},
            {"generate_all", [&](auto& s) { s.generate_all = whole != 0; }},
            {"root", [&](auto& s) { s.root = static_cast<RootChoice>(whole); }},
            {"seed", [&](auto& s) { s.seed = static_cast<uint64_t>(whole); }},
            {"draw_black", [&](auto& s) { s.draw_value_black = value; }},
            {"draw_white", [&](auto& s) { s.draw_value_white = value; }},
            {"mate", [&](auto& s) { s.mate_mib = whole; }},
            {"leaf_mate", [&](auto& s) { s.leaf_mate_nodes = whole; }},
        };
        const auto found = kSettings.find(name);
        if (found == kSettings.end()) throw std::invalid_argument("no setting " + name);
        found->second(settings_);
        search_.configure(settings_);
        search_.set_position(game_);
    }

    void position(std::istringstream& words) {
        std::string sfen;
        std::string word;
        while (words >> word && word != "moves") {
            if (word == "sfen") continue;
            sfen += (sfen.empty() ? "" : " ") + word;
        }
        game::Game game = sfen.empty() ? game::Game() : game::Game(sfen, true);
        while (words >> word) game.push(notation::parse_usi_move(game.position(), word));
        game_ = game;
        search_.set_position(game_);
    }

    void go(std::istringstream& words) {
        SearchLimits limits;
        limits.report_ms = 1;
        int64_t stop_at = 0;
        std::string word;
        while (words >> word) {
            if (word == "nodes") words >> limits.nodes;
            if (word == "depth") words >> limits.depth;
            if (word == "multipv") words >> limits.multipv;
            if (word == "report") words >> limits.report_ms;
            if (word == "stop_at") words >> stop_at;
            if (word == "only") {
                while (words >> word) {
                    limits.root_labels.push_back(notation::parse_usi_move(game_.position(), word));
                }
            }
        }
        Stop stop;
        int64_t stopped_at = -1;
        const SearchReport report = search_.run(limits, stop, [&](const SearchReport& r) {
            if (stop_at == 0 || r.nodes < stop_at || stop.requested()) return;
            stopped_at = r.nodes;
            stop.request();
        });
        show(report);
        if (stop_at > 0) std::cout << "stopped_at " << stopped_at << "\n";
    }

    std::string line_of(const std::vector<int>& labels) const {
        std::string out;
        game::Game game = game_;
        for (const int label : labels) {
            out += ' ' + notation::to_usi(game.position(), label);
            game.push(label);
        }
        return out;
    }

    void show(const SearchReport& report) const {
        for (const SearchLine& line : report.lines) {
            std::cout << "line visits " << line.visits << " value " << line.value << " mate "
                      << line.mate << " draw " << line.draw << " policy " << line.policy << " pv"
                      << line_of(line.labels) << "\n";
        }
        std::cout << "report nodes " << report.nodes << " evaluations " << report.evaluations
                  << " depth " << report.depth << " seldepth " << report.seldepth << " hashfull "
                  << report.hashfull << " proved " << report.proved << "\n";
    }

    void mate(std::istringstream& words) {
        MateLimits limits;
        std::string word;
        while (words >> word) {
            if (word == "nodes") words >> limits.nodes;
            if (word == "mib") words >> limits.memory_mib;
        }
        const Stop stop;
        const MateResult result = solve_mate(game_, limits, stop);
        const char* answer = result.answer == MateAnswer::mate      ? "mate"
                             : result.answer == MateAnswer::no_mate ? "nomate"
                                                                    : "unknown";
        std::cout << answer << " nodes " << result.nodes << " pv" << line_of(result.labels) << "\n";
    }

    void run_bench(std::istringstream& words) {
        BenchOptions options{.seconds = 0};
        std::string word;
        while (words >> word) {
            if (word == "nodes") words >> options.nodes;
            if (word == "seconds") words >> options.seconds;
            options.json = options.json || word == "json";
        }
        Evaluator* const one = &mock_;
        bench(std::cout, {&one, 1}, settings_, options);
    }

    void held() {
        use(held_);
        SearchLimits some;
        some.nodes = 100;
        Stop unused;
        search_.run(some, unused);
        held_.hold(true);
        Stop stop;
        std::thread stopper([&] {
            held_.await_caller();
            stop.request();
        });
        const SearchReport report = search_.run({}, stop);
        stopper.join();
        show(report);
        held_.hold(false);
        // What was under way has to come back first.
        show(search_.run(some, unused));
    }

    MockEvaluator mock_;
    UniformEvaluator uniform_;
    HeldEvaluator held_;
    SearchSettings settings_;
    game::Game game_;
    Search search_;
};

}  // namespace

int main() {
    Check check;
    for (std::string line; std::getline(std::cin, line);) {
        try {
            check.handle(line);
        } catch (const std::exception& e) {
            std::cout << "error " << e.what() << "\n";
        }
        std::cout << "done" << std::endl;
    }
}
