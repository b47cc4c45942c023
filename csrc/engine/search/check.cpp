// keisei_search_check: the search without USI and without libtorch, told what to do line by line,
// for tests. Every command is answered by lines of which the last is `done`.
//
//   set NAME NUMBER             a setting, see kSettings; or: evaluator mock|uniform|held|deep
//   position [sfen SFEN] [moves MOVE ...]
//   go [nodes N] [depth D] [multipv M] [stop_at NODES] [report MS] [only MOVE ...]
//   mate [nodes N] [mib M]      the mate search
//   held                        a search whose evaluator does not come back is stopped
//   bench [nodes N] [seconds S] [json]
//   playouts [threads N] [batch B] [walks W] [nodes N] [mib M] [fail_each K]
//               threads without a search around them; then every count in the tree has to fit
//   clear
#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/search/bench.h"
#include "engine/search/mate.h"
#include "engine/search/mock_evaluator.h"
#include "engine/search/playouts.h"
#include "engine/search/rules.h"
#include "engine/search/search.h"
#include "engine/uniform_evaluator.h"
#include "notation/sfen.h"
#include "notation/usi.h"
#include "shogi/apply.h"
#include "shogi/key.h"

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

// Is sure of one move everywhere, to a position that it has not seen: every walk goes on where the
// last one ended.
class DeepEvaluator final : public Evaluator {
 public:
    void evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                  std::span<float> values) override {
        constexpr float kSure = 100;
        const std::lock_guard lock(mutex_);
        std::ranges::fill(logits, 0.0f);
        std::ranges::fill(values, 0.0f);
        for (std::size_t i = 0; i < positions.size(); ++i) {
            std::vector<uint16_t> labels;
            list_moves(positions[i], true, labels);
            const auto unseen = [&](uint16_t label) {
                return seen_.insert(shogi::key(shogi::apply(positions[i], label))).second;
            };
            const auto found = std::ranges::find_if(labels, unseen);
            if (found != labels.end()) logits[i * shogi::kLabels + *found] = kSure;
        }
    }
    std::string describe() const override { return "deep"; }

 private:
    std::mutex mutex_;
    std::set<uint64_t> seen_;
};

// Every so often it fails.
class FailingEvaluator final : public Evaluator {
 public:
    explicit FailingEvaluator(int each) : each_(each) {}
    void evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                  std::span<float> values) override {
        if (each_ > 0 && ++calls_ % each_ == 0) throw std::runtime_error("failed on demand");
        mock_.evaluate(positions, logits, values);
    }
    std::string describe() const override { return "failing"; }

 private:
    MockEvaluator mock_;
    int each_;
    std::atomic<int> calls_{0};
};

// What does not fit in a tree that nobody works on; empty: all does.
std::string fault_of(const SearchState& state) {
    constexpr double kClose = 1e-6;
    std::vector<const Node*> left{state.tree.root()};
    while (!left.empty()) {
        const Node& node = *left.back();
        left.pop_back();
        if (node.state == NodeState::pending) return "a node is pending";
        if (node.pending != 0) return "walks are pending at a node";
        if (node.state != NodeState::expanded) continue;
        uint32_t visits = 1;
        double sum = static_cast<double>(node.evaluation->value);
        uint32_t share = 0;
        for (std::size_t i = 0; i < node.edge_count; ++i) {
            const Edge& edge = node.edges[i];
            if (edge.pending != 0) return "walks are pending at an edge";
            visits += edge.visits;
            sum += edge.sum;
            if (edge.visits > 0) share += node.moves()[i].share;
            if (edge.node != nullptr) left.push_back(edge.node);
        }
        if (node.visits != visits) return "a node's visits are not those of its edges";
        if (node.visited_share != share) return "a node's visited share is not that of its edges";
        if (std::abs(node.sum - sum) > kClose * visits) return "a node's sum is not its edges'";
    }
    if (state.tree.root()->visits != state.nodes) return "the root's visits are not the playouts";
    if (state.node_limit > 0 && state.claimed != state.nodes)
        return "playouts are claimed for ever";
    return {};
}

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
                : name == "deep"  ? static_cast<Evaluator&>(deep_)
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
        } else if (command == "playouts") {
            playouts(words);
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
            {"temperature", [&](auto& s) { s.policy_temperature = value; }},
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

    void playouts(std::istringstream& words) {
        std::map<std::string, int> numbers = {{"threads", 1}, {"batch", 8}, {"walks", 1},
                                              {"nodes", 0},   {"mib", 16},  {"fail_each", 0}};
        for (std::string word; words >> word;) words >> numbers.at(word);
        FailingEvaluator evaluator(numbers["fail_each"]);
        constexpr std::size_t kMiB = 1 << 20;
        SearchState state;
        state.tree.reset(static_cast<std::size_t>(numbers["mib"]) * kMiB);
        state.settings = settings_;
        state.rules = {.declaration = settings_.declaration,
                       .max_moves = settings_.max_moves_to_draw,
                       .moves_at_root = game_.ply() - 1,
                       .generate_all = settings_.generate_all,
                       .draw_for_black = 0};
        state.history = game_.history();
        state.node_limit = numbers["nodes"];
        state.walks_at_once = numbers["walks"];
        state.root_moves.begin({}, false, 0);
        remember(*state.tree.root(), state.history);
        std::atomic<int> failures{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < numbers["threads"]; ++i) {
            threads.emplace_back([&, batch = numbers["batch"]] {
                Playouts own(state, evaluator);
                while (state.nodes < state.node_limit && !state.full) {
                    try {
                        if (!own.round(batch)) std::this_thread::yield();
                    } catch (const std::runtime_error&) {
                        ++failures;
                    }
                }
            });
        }
        for (auto& thread : threads) thread.join();
        const std::string fault = fault_of(state);
        std::cout << (fault.empty() ? "sound" : fault) << ": nodes " << state.nodes << " failures "
                  << failures << " full " << state.full << "\n";
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
    DeepEvaluator deep_;
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
