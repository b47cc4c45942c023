#include "engine/search/search.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include "engine/search/crew.h"
#include "engine/search/lines.h"
#include "engine/search/mate.h"
#include "engine/search/playouts.h"

namespace keisei::engine {
namespace {

constexpr int64_t kMiB = 1 << 20;
constexpr std::chrono::hours kForever(1 << 20);
// While the tree is small its best leaves are few: of so many visits one place is in batches, of
// all threads together.
constexpr int64_t kVisitsPerPlace = 8;
// The same for Gumbel search, whose budget is small.
constexpr int64_t kBudgetPerPlace = 16;

// What the mate search beside the tree may look at: so many positions, and so many more for each
// playout.
constexpr int64_t kFirstMateNodes = 1000;
constexpr int64_t kMateNodesPerPlayout = 8;
constexpr int64_t kMatePortion = 500;

// Of several threads. One alone chooses each first move by all that is known.
constexpr int kWalksAtOnce = 32;

// Whether a tree that was grown with one serves the other.
bool same_tree(const SearchSettings& a, const SearchSettings& b) {
    return a.hash_mib == b.hash_mib && a.policy_temperature == b.policy_temperature &&
           a.draw_value_black == b.draw_value_black && a.draw_value_white == b.draw_value_white &&
           a.max_moves_to_draw == b.max_moves_to_draw && a.declaration == b.declaration &&
           a.generate_all == b.generate_all && a.mate_mib == b.mate_mib &&
           a.leaf_mate_nodes == b.leaf_mate_nodes;
}

bool goes_on(const std::vector<game::Reached>& before, const std::vector<game::Reached>& now) {
    return before.size() <= now.size() &&
           std::ranges::equal(before, std::span(now).first(before.size()),
                              [](const game::Reached& a, const game::Reached& b) {
                                  return a.key == b.key && a.label == b.label &&
                                         a.position == b.position;
                              });
}

}  // namespace

class Search::Implementation {
 public:
    ~Implementation() { finish(); }

    bool await_last(const Stop& stop) {
        constexpr std::chrono::milliseconds kLook(2);
        while (!stop.requested()) {
            if (crew_.idle_by(std::chrono::steady_clock::now() + kLook)) return true;
        }
        return crew_.idle();
    }

    void set_evaluators(std::span<Evaluator* const> evaluators) {
        finish();
        evaluators_.assign(evaluators.begin(), evaluators.end());
        playouts_.clear();
        planted_ = false;
    }

    void configure(const SearchSettings& settings) {
        finish();
        const bool keep = same_tree(settings, state_.settings);
        if (settings.threads != state_.settings.threads) playouts_.clear();
        state_.settings = settings;
        if (!keep) clear();
    }

    void clear() {
        finish();
        state_.tree.reset(
            static_cast<std::size_t>(std::max<int64_t>(state_.settings.hash_mib, 1) * kMiB));
        mate_line_.clear();
        mate_.reset();
        if (state_.settings.mate_mib > 0) {
            mate_ = std::make_unique<MateSearch>(state_.settings.mate_mib);
        }
        game_ = game::Game();
        adopt(game_);
    }

    void take_memory() {
        if (!planted_) clear();
    }

    void set_position(const game::Game& game) {
        finish();
        take_memory();
        const TreeRules rules = rules_for(game);
        if (goes_on(game_.history(), game.history()) &&
            game_.ply() - game_.plies_played() == game.ply() - game.plies_played() &&
            rules.draw_for_black == state_.rules.draw_for_black) {
            for (auto i = game_.history().size(); i < game.history().size(); ++i) {
                const int label = game.history()[i].label;
                state_.tree.advance(label);
                // What is left of a mate that both sides follow is a mate.
                if (mate_line_.empty()) continue;
                const bool follows = mate_line_[0] == label;
                mate_line_.erase(mate_line_.begin());
                if (!follows) mate_line_.clear();
            }
        } else {
            state_.tree.plant();
            mate_line_.clear();
        }
        adopt(game);
    }

    SearchReport run(const SearchLimits& limits, Stop& stop, const Reporter& reporter) {
        begin(limits, stop);
        if (!finished()) {
            crew_.start([this](std::size_t number) { work(number); });
            watch(limits, stop, reporter);
        }
        if (limits.nodes == 0 && limits.depth == 0 && !failed() && !stop.requested()) {
            // All is known, and still nobody has asked for the answer.
            if (reporter) reporter(report());
            const auto never = std::chrono::steady_clock::now() + kForever;
            stop.wait_until(never, [] { return false; });
        }
        state_.end = true;
        if (!stop.requested() || !root_known()) crew_.wait();
        {
            const std::lock_guard lock(error_mutex_);
            stop_ = nullptr;
            if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
        }
        return report();
    }

 private:
    // After this no thread works.
    void finish() {
        state_.end = true;
        crew_.wait();
        error_ = nullptr;
    }

    TreeRules rules_for(const game::Game& game) const {
        const SearchSettings& s = state_.settings;
        const bool white = game.position().white_to_move();
        return {
            .declaration = s.declaration,
            .max_moves = s.max_moves_to_draw,
            .moves_at_root = game.ply() - 1,
            .generate_all = s.generate_all,
            .draw_for_black = static_cast<float>(white ? -s.draw_value_white : s.draw_value_black)};
    }

    void adopt(const game::Game& game) {
        game_ = game;
        planted_ = true;
        state_.rules = rules_for(game);
        state_.history = game.history();
        Node* root = state_.tree.root();
        // The game went on where the tree took it for over.
        if (root->state == NodeState::ended) {
            state_.tree.plant();
            root = state_.tree.root();
        }
        if (root->state == NodeState::fresh) remember(*root, state_.history);
        if (mate_) mate_->set_position(game_.history());
        mate_known_ = {};
        if (mate_line_.size() % 2 == 1) {
            mate_known_ = {.answer = MateAnswer::mate, .labels = mate_line_, .nodes = 0};
        }
    }

    void begin(const SearchLimits& limits, Stop& stop) {
        finish();
        if (evaluators_.empty())
            throw std::runtime_error("search: expected an evaluator, got none");
        take_memory();
        const SearchSettings& s = state_.settings;
        const std::size_t threads =
            evaluators_.size() * static_cast<std::size_t>(threads_for_each());
        if (playouts_.size() != threads) {
            playouts_.clear();
            for (std::size_t i = 0; i < threads; ++i) {
                playouts_.emplace_back(state_, *evaluators_[i % evaluators_.size()]);
            }
        }
        // With one thread the mate search takes turns with it, so that nothing depends on timing.
        crew_.resize(threads == 1 ? 1 : threads + 1);
        if (threads == 1) state_.tree.settle();

        limits_ = limits;
        stop_ = &stop;
        state_.node_limit = limits.nodes;
        state_.walks_at_once = threads == 1 ? 1 : kWalksAtOnce;
        state_.claimed = 0;
        state_.nodes = 0;
        state_.evaluations = 0;
        state_.waited = 0;
        state_.deepest = 0;
        state_.full = false;
        state_.end = false;
        stuck_ = false;
        start_rounds_ = state_.rounds;
        const bool gumbel = limits.nodes > 0 &&
                            (s.root == RootChoice::gumbel ||
                             (s.root == RootChoice::automatic && limits.nodes <= s.gumbel_limit));
        prepare(limits, gumbel);
        visits_before_ = state_.tree.root()->visits;
        const int wanted = s.batch_size > 0 ? s.batch_size : evaluators_[0]->best_batch();
        batch_size_ = gumbel
                          ? std::clamp<int64_t>(
                                limits.nodes / (kBudgetPerPlace * std::ssize(playouts_)), 1, wanted)
                          : wanted;
    }

    int threads_for_each() const {
        if (state_.settings.threads > 0) return state_.settings.threads;
        const auto evaluators = static_cast<int>(evaluators_.size());
        const auto cores = static_cast<int>(std::thread::hardware_concurrency());
        return std::clamp(cores / evaluators, 2, std::max(evaluators_[0]->best_threads(), 2));
    }

    void prepare(const SearchLimits& limits, bool gumbel) {
        Node* root = state_.tree.root();
        state_.whole_root = !limits.root_labels.empty();
        const auto is_candidate = [&](int label) {
            return std::ranges::find(root->moves(), label, &Candidate::label) !=
                   root->moves().end();
        };
        if (root->state == NodeState::expanded &&
            !std::ranges::all_of(limits.root_labels, is_candidate)) {
            state_.tree.plant();
            root = state_.tree.root();
            remember(*root, state_.history);
        }
        const bool known = root->state == NodeState::expanded;
        // The root's own evaluation takes one.
        state_.root_moves.begin(limits.root_labels, gumbel, limits.nodes - (known ? 0 : 1));
        if (!known) return;
        prepare_root(state_);
        show_mate();
    }

    // What each thread does.
    void work(std::size_t number) {
        try {
            if (number == playouts_.size()) {
                look_for_mate();
                return;
            }
            while (!state_.end) {
                const uint32_t seen = state_.rounds;
                const bool any = playouts_[number].round(static_cast<int>(places()));
                const bool room = state_.full && make_room();
                if (any && playouts_.size() == 1) advance_mate(INT64_MAX);
                if (any) tell_round();
                if (finished() || stuck_) state_.end = true;
                if (any || room || state_.end) continue;
                if (state_.node_limit > 0 && state_.claimed >= state_.node_limit) break;
                state_.rounds.wait(seen);
            }
        } catch (...) {
            const std::lock_guard lock(error_mutex_);
            if (!error_) error_ = std::current_exception();
            state_.end = true;
        }
        tell_round();
    }

    // The mate search, on a thread of its own.
    void look_for_mate() {
        while (!state_.end && mate_ && mate_known_.answer != MateAnswer::no_mate) {
            const uint32_t seen = state_.rounds;
            if (root_known() && advance_mate(kMatePortion)) {
                if (finished()) state_.end = true;
                if (mate_known_.answer == MateAnswer::mate) return;
            } else if (!state_.end) {
                // For the root, or for more playouts: it keeps step with them.
                state_.rounds.wait(seen);
            }
        }
    }

    // The root is known. Returns whether there was anything to do.
    bool advance_mate(int64_t portion) {
        if (!mate_ || mate_known_.answer == MateAnswer::no_mate) return false;
        if (mate_known_.answer == MateAnswer::unknown) {
            const int64_t allowed = kFirstMateNodes + kMateNodesPerPlayout * state_.nodes;
            const int64_t nodes = std::min(portion, allowed - mate_known_.nodes);
            if (nodes <= 0) return false;
            mate_known_ = mate_->advance(nodes, [this] { return state_.end.load(); });
        }
        show_mate();
        return true;
    }

    // Tells the tree of a mate that was found. The root has all its edges.
    void show_mate() {
        if (mate_known_.answer != MateAnswer::mate ||
            !state_.rules.within_limit(static_cast<int>(mate_known_.labels.size()))) {
            return;
        }
        const Inside inside(state_.gate);
        Node& root = *state_.tree.root();
        const std::lock_guard lock(root.lock);
        const auto at = std::ranges::find(root.moves(), mate_known_.labels[0], &Candidate::label) -
                        root.moves().begin();
        if (at == std::ssize(root.moves())) return;  // a move that the rules leave out
        Edge& edge = root.edges[at];
        const auto plies = static_cast<uint16_t>(mate_known_.labels.size());
        if (edge.fate.proof == Proof::win && edge.fate.plies < plies) return;
        edge.fate = {Proof::win, plies};
        root.fate = settled(root);
        mate_line_ = mate_known_.labels;
    }

    void tell_round() {
        ++state_.rounds;
        state_.rounds.notify_all();
        const std::lock_guard lock(error_mutex_);
        if (stop_ != nullptr) stop_->wake();
    }

    int64_t places() const {
        const int64_t visits = visits_before_ + state_.nodes;
        return std::min(batch_size_, 1 + visits / (kVisitsPerPlace * std::ssize(playouts_)));
    }

    // Returns whether there is room again. Else what is under way elsewhere fills the memory, and
    // will come back; or the root alone does.
    bool make_room() {
        state_.gate.close();
        // Another thread may have been here first.
        bool room = true;
        if (state_.full) {
            room = state_.tree.prune() > 0;
            stuck_ = stuck_ || (!room && state_.tree.root()->pending == 0);
            state_.full = false;
        }
        state_.gate.open();
        return room;
    }

    bool failed() {
        const std::lock_guard lock(error_mutex_);
        return error_ != nullptr;
    }

    bool root_known() {
        Node& root = *state_.tree.root();
        const std::lock_guard lock(root.lock);
        return root.state == NodeState::expanded;
    }

    bool finished() {
        if (limits_.nodes > 0 && state_.nodes >= limits_.nodes) return true;
        const Inside inside(state_.gate);
        Node& root = *state_.tree.root();
        {
            const std::lock_guard lock(root.lock);
            if (root.state != NodeState::expanded) return false;
            if (decided(root)) return true;
        }
        return limits_.depth > 0 && best_depth(state_) >= limits_.depth;
    }

    // Whether no more search changes what is reported.
    bool decided(const Node& root) const {
        const Fate fate = state_.root_moves.fate(root);
        if (!fate || limits_.multipv <= 1) return static_cast<bool>(fate);
        int proved = 0;
        for (std::size_t i = 0; i < root.edge_count; ++i) {
            proved += state_.root_moves.allowed(i) && root.edges[i].fate ? 1 : 0;
        }
        return proved >= std::min(limits_.multipv, state_.root_moves.allowed_count());
    }

    // Reports until the threads come to an end or the stop is there.
    void watch(const SearchLimits& limits, Stop& stop, const Reporter& reporter) {
        const std::chrono::milliseconds pause =
            limits.report_ms > 0 ? std::chrono::milliseconds(limits.report_ms) : kForever;
        // Whatever comes, the root has to be known.
        if (!root_known()) state_.rounds.wait(start_rounds_);
        if (reporter) reporter(report());
        while (!stop.requested() && !crew_.idle()) {
            const auto time = std::chrono::steady_clock::now() + pause;
            stop.wait_until(time, [&] { return crew_.idle() || state_.end; });
            if (state_.end) break;
            if (!stop.requested() && reporter) reporter(report());
        }
    }

    SearchReport report() {
        const Inside inside(state_.gate);
        SearchReport out;
        out.nodes = state_.nodes;
        out.evaluations = state_.evaluations;
        constexpr double kNanosecond = 1e-9;
        out.waited = kNanosecond * static_cast<double>(state_.waited.load());
        out.lines = best_lines(state_, static_cast<std::size_t>(std::max(limits_.multipv, 2)));
        Node& root = *state_.tree.root();
        const std::lock_guard lock(root.lock);
        for (SearchLine& line : out.lines) {
            // The mate search's line stands in no tree.
            if (!mate_line_.empty() && line.mate == static_cast<int>(mate_line_.size()) &&
                line.labels[0] == mate_line_[0]) {
                line.labels = mate_line_;
            }
        }
        out.depth = out.lines.empty() ? 0 : static_cast<int>(out.lines[0].labels.size());
        out.seldepth = std::max(state_.deepest.load(), out.depth);
        out.hashfull = state_.tree.permille_used();
        out.proved = root.state == NodeState::expanded && state_.root_moves.fate(root);
        return out;
    }

    SearchState state_;
    std::vector<Evaluator*> evaluators_;
    std::deque<Playouts> playouts_;  // one a thread
    game::Game game_;                // whose last position is the root
    bool planted_ = false;  // else there is no tree: what there is belongs to other evaluators
    SearchLimits limits_;
    int64_t batch_size_ = 1;
    int64_t visits_before_ = 0;  // of the root
    uint32_t start_rounds_ = 0;
    std::atomic<bool> stuck_{false};  // the memory is full of what cannot be given up

    std::unique_ptr<MateSearch> mate_;
    MateResult mate_known_;       // of the root; one thread's, while they work
    std::vector<int> mate_line_;  // under the root's lock; empty: none

    std::mutex error_mutex_;
    std::exception_ptr error_;  // of the first thread that failed
    Stop* stop_ = nullptr;      // of the caller, while there is one
    Crew crew_;                 // last: its threads use all the others
};

Search::Search() : implementation_(std::make_unique<Implementation>()) {}
Search::~Search() = default;

bool Search::await_last(const Stop& stop) {
    return implementation_->await_last(stop);
}
void Search::set_evaluators(std::span<Evaluator* const> evaluators) {
    implementation_->set_evaluators(evaluators);
}
void Search::configure(const SearchSettings& settings) {
    implementation_->configure(settings);
}
void Search::clear() {
    implementation_->clear();
}
void Search::take_memory() {
    implementation_->take_memory();
}
void Search::set_position(const game::Game& game) {
    implementation_->set_position(game);
}
SearchReport Search::run(const SearchLimits& limits, Stop& stop, const Reporter& reporter) {
    return implementation_->run(limits, stop, reporter);
}

}  // namespace keisei::engine
