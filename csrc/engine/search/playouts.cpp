#include "engine/search/playouts.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>

#include "shogi/apply.h"

namespace keisei::engine {
namespace {

// A descent that has not come back counts as so many losses of the move: others look elsewhere.
constexpr double kVirtualLoss = 1.0;
// Descents of a round that may end at a node that is being evaluated, for each place in the batch.
constexpr int kCollisionsPerPlace = 2;
// Playouts of a round that end at a known result: after so many the round comes to an end too.
constexpr int kDonePerPlace = 8;
// More than two ways to compute a score differ by.
constexpr double kRounding = 1e-9;
// Instead of a choice.
constexpr int kNothingOpen = -1;
constexpr int kNoRoom = -2;

constexpr int kToWrite = 1;

// Most of a walk is waiting for memory.
void prefetch(const Node* node) {
    if (node == nullptr) return;
    constexpr int kLine = 64;
    for (std::size_t at = 0; at < sizeof(Node); at += kLine) {
        __builtin_prefetch(reinterpret_cast<const char*>(node) + at);
    }
}

}  // namespace

void prepare_root(SearchState& state) {
    Node& root = *state.tree.root();
    while (root.edge_count < root.evaluation->count) state.tree.add_edge(root, true);
    state.root_moves.prepare(root, state.settings, root.key ^ state.settings.seed);
}

bool Playouts::round(int batch_size) {
    {
        const Inside inside(state_.gate);
        gather(batch_size);
    }
    if (leaves_.empty()) return done_ > 0;
    try {
        evaluate();
    } catch (...) {
        const Inside inside(state_.gate);
        abandon();
        throw;
    }
    const Inside inside(state_.gate);
    spread();
    return true;
}

void Playouts::spread() {
    std::size_t begin = 0;
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
        const auto& [node, key, complete, path] = leaves_[i];
        // Other threads have changed these since; the moves are ranked while they are on their way.
        for (const Step& step : path) __builtin_prefetch(step.node, kToWrite);
        const std::size_t count = ends_[i] - begin;
        rank_moves({&labels_[begin], count}, {&logits_[begin], count});
        begin = ends_[i];
        const Evaluation* evaluation = state_.tree.store(key, values_[i], complete, candidates_);
        if (evaluation != nullptr) {
            expand(*node, *evaluation);
        } else {
            const std::lock_guard lock(node->lock);
            node->state = NodeState::fresh;
            state_.full = true;
        }
        back_up(path, values_[i], {});
    }
    report_back();
}

void Playouts::gather(int batch_size) {
    leaves_.clear();
    collided_.clear();
    positions_.clear();
    labels_.clear();
    ends_.clear();
    done_ = 0;
    line_ = state_.history;
    const auto places = static_cast<std::size_t>(batch_size);
    const std::size_t most_collisions = places * kCollisionsPerPlace;
    while (leaves_.size() < places && collided_.size() < most_collisions &&
           done_ < batch_size * kDonePerPlace && !state_.end && !state_.full) {
        const auto room = static_cast<int>(places - leaves_.size());
        const int count = claim(std::min(room, state_.walks_at_once));
        if (count == 0) break;
        path_.clear();
        const std::optional<Landing> landing = set_out(count);
        for (const Way& way : ways_) land(walk(way));
        if (!landing) continue;
        if (state_.node_limit > 0) state_.claimed -= count - std::ssize(ways_) - 1;
        path_.clear();
        land(*landing);
        // Nobody knows a second position yet, or no move is left open.
        if (*landing != Landing::done) break;
    }
    for (const auto& path : collided_) take_back(path);
    report_back();
}

int Playouts::claim(int wanted) {
    if (state_.node_limit == 0) return wanted;
    const int64_t before = state_.claimed.fetch_add(wanted);
    const auto granted =
        static_cast<int>(std::clamp<int64_t>(state_.node_limit - before, 0, wanted));
    state_.claimed -= wanted - granted;
    return granted;
}

void Playouts::land(Landing landing) {
    if (landing == Landing::done) {
        ++done_;
    } else if (landing == Landing::batch) {
        leaves_.back().path = path_;
    } else {
        if (state_.node_limit > 0) --state_.claimed;
        collided_.push_back(path_);
        if (landing == Landing::full) state_.full = true;
    }
}

std::optional<Playouts::Landing> Playouts::set_out(int count) {
    ways_.clear();
    line_.resize(state_.history.size());
    Node& root = *state_.tree.root();
    std::unique_lock lock(root.lock);
    report_back(root);
    if (root.state == NodeState::pending) return Landing::collision;
    if (root.state == NodeState::fresh) {
        root.state = NodeState::pending;
        lock.unlock();
        return open(root, false);
    }
    const float draw = state_.rules.draw_for_mover(line_.back().position.white_to_move());
    while (std::ssize(ways_) < count) {
        const int chosen = choose(root, draw);
        if (chosen < 0) return chosen == kNoRoom ? Landing::full : Landing::collision;
        const std::optional<Way> way = take(root, chosen);
        if (!way) return Landing::full;
        ways_.push_back(*way);
    }
    return {};
}

std::optional<Playouts::Way> Playouts::take(Node& node, int chosen) {
    Edge& edge = node.edges[chosen];
    Way way{{&node, static_cast<uint16_t>(chosen)},
            node.moves()[chosen].label,
            edge.node,
            false,
            edge.fate};
    prefetch(way.next);
    if (way.next == nullptr && !edge.fate) {
        way.next = state_.tree.new_node();
        if (way.next == nullptr) return {};
        way.next->state = NodeState::pending;
        way.created = true;
        edge.node = way.next;
    }
    ++edge.pending;
    ++node.pending;
    return way;
}

Playouts::Landing Playouts::walk(Way way) {
    line_.resize(state_.history.size());
    path_.clear();
    for (;;) {
        path_.push_back(way.step);
        if (way.known) {
            // Seen by the mover there.
            const Fate there{way.known.before().proof, static_cast<uint16_t>(way.known.plies - 1)};
            const bool white = line_.back().position.white_to_move();
            back_up(path_, -worth(way.known, state_.rules.draw_for_mover(white)), there);
            return Landing::done;
        }
        if (way.created) {
            line_.push_back(game::follow(line_, way.label));
            return open(*way.next, true);
        }
        Node& node = *way.next;
        // Made while the node's memory is on its way.
        const shogi::Position position = shogi::apply(line_.back().position, way.label);
        std::unique_lock lock(node.lock);
        if (node.state == NodeState::pending) return Landing::collision;
        __builtin_prefetch(node.edges);
        __builtin_prefetch(node.evaluation);
        line_.push_back({shogi::with_occurrence(position, node.occurrence), node.key, way.label,
                         node.times_before, node.plies_since_first, node.checks});
        const float draw = state_.rules.draw_for_mover(position.white_to_move());
        const Fate fate = node.fate;
        const Fate repeated = repeated_in_tree(node, static_cast<int>(path_.size()));
        if (fate || repeated) {
            lock.unlock();
            back_up(path_, worth(fate ? fate : repeated, draw), fate);
            return Landing::done;
        }
        if (node.state == NodeState::fresh) {
            node.state = NodeState::pending;
            lock.unlock();
            return open(node, false);
        }
        const int chosen = choose(node, draw);
        if (chosen < 0) return chosen == kNoRoom ? Landing::full : Landing::collision;
        const std::optional<Way> next = take(node, chosen);
        if (!next) return Landing::full;
        way = *next;
    }
}

Playouts::Landing Playouts::open(Node& node, bool created) {
    const game::Reached& here = line_.back();
    const uint64_t key = evaluation_key(here.key, here.position.occurrence());
    state_.tree.prefetch(key);
    if (created) remember(node, line_);
    const auto depth = static_cast<int>(path_.size());
    int deepest = state_.deepest.load(std::memory_order_relaxed);
    while (depth > deepest && !state_.deepest.compare_exchange_weak(deepest, depth)) {
    }
    const bool whole_root = path_.empty() && state_.whole_root;
    const Evaluation* shared = whole_root ? nullptr : state_.tree.share(key);
    const std::size_t first = labels_.size();
    const bool complete =
        shared == nullptr &&
        list_moves(here.position, state_.rules.generate_all || whole_root, labels_);
    const bool has_move = shared != nullptr || labels_.size() > first;
    if (created) {
        const float draw = state_.rules.draw_for_mover(here.position.white_to_move());
        Fate fate = end_of_game(here, has_move, depth, state_.rules);
        // What was evaluated once has no such mate.
        if (!fate && shared == nullptr) fate = find_mate();
        const Fate repeated = fate ? Fate{} : repeated_in_tree(node, depth);
        if (fate || repeated) {
            labels_.resize(first);
            if (shared != nullptr) state_.tree.release(*shared);
            {
                const std::lock_guard lock(node.lock);
                node.fate = fate;
                node.state = fate ? NodeState::ended : NodeState::fresh;
            }
            back_up(path_, worth(fate ? fate : repeated, draw), fate);
            return Landing::done;
        }
    }
    if (shared != nullptr) {
        expand(node, *shared);
        back_up(path_, shared->value, {});
        return Landing::done;
    }
    leaves_.push_back({&node, key, complete, {}});
    positions_.push_back(here.position);
    ends_.push_back(static_cast<uint32_t>(labels_.size()));
    return Landing::batch;
}

Fate Playouts::find_mate() {
    const int nodes = state_.settings.leaf_mate_nodes;
    if (nodes == 0) return {};
    mate_.set_position(line_);
    const MateResult result = mate_.advance(nodes, [] { return false; });
    const auto plies = static_cast<int>(path_.size() + result.labels.size());
    if (result.answer != MateAnswer::mate || !state_.rules.within_limit(plies)) return {};
    return {Proof::win, static_cast<uint16_t>(result.labels.size())};
}

void Playouts::evaluate() {
    logits_.resize(labels_.size());
    values_.resize(positions_.size());
    const auto begin = std::chrono::steady_clock::now();
    evaluator_.evaluate_labels({positions_, ends_, labels_, logits_, values_});
    const std::chrono::nanoseconds time = std::chrono::steady_clock::now() - begin;
    state_.waited += time.count();
    state_.evaluations += static_cast<int64_t>(positions_.size());
}

void Playouts::rank_moves(std::span<const uint16_t> labels, std::span<const float> logits) {
    const auto temperature = static_cast<float>(state_.settings.policy_temperature);
    const float highest = *std::ranges::max_element(logits);
    thread_local std::vector<float> weights;
    weights.resize(labels.size());
    float total = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        weights[i] = std::exp((logits[i] - highest) / temperature);
        total += weights[i];
    }
    candidates_.resize(labels.size());
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const float share = std::max(1.0f, std::round(kWholeShare * weights[i] / total));
        candidates_[i] = {labels[i], static_cast<uint16_t>(share)};
    }
    std::ranges::sort(candidates_, [](const Candidate& a, const Candidate& b) {
        return a.share != b.share ? a.share > b.share : a.label < b.label;
    });
}

void Playouts::expand(Node& node, const Evaluation& evaluation) {
    const std::lock_guard lock(node.lock);
    node.evaluation = &evaluation;
    node.visits = 1;
    node.sum = static_cast<double>(evaluation.value);
    node.state = NodeState::expanded;
    if (&node == state_.tree.root()) prepare_root(state_);
}

namespace {

// A walk by this edge came back with a result for the mover at the node.
void count(Node& node, std::size_t index, float value) {
    Edge& edge = node.edges[index];
    --edge.pending;
    --node.pending;
    if (edge.visits++ == 0) node.visited_share += node.moves()[index].share;
    ++node.visits;
    edge.sum += static_cast<double>(value);
    node.sum += static_cast<double>(value);
}

void uncount(Node& node, std::size_t index) {
    --node.edges[index].pending;
    --node.pending;
}

}  // namespace

void Playouts::back_up(std::span<const Step> path, float value, Fate fate) {
    if (path.empty()) ++state_.nodes;  // the root's own evaluation
    for (std::size_t i = path.size(); i-- > 0;) {
        const auto& [node, index] = path[i];
        value = -value;
        fate = fate.before();
        if (i == 0) {
            returns_.push_back({index, true, value});
            if (!fate) return;
        }
        const std::lock_guard lock(node->lock);
        if (i == 0) {
            report_back(*node);
        } else {
            count(*node, index, value);
        }
        if (!fate) continue;
        Edge& edge = node->edges[index];
        if (!edge.fate || fate.plies < edge.fate.plies) edge.fate = fate;
        const Fate before = node->fate;
        node->fate = settled(*node);
        fate = node->fate;
        // From here on the result is certain, whatever the descent itself brought.
        if (fate && !before && fate.proof != Proof::draw) value = fate.proof == Proof::win ? 1 : -1;
    }
}

void Playouts::take_back(std::span<const Step> path) {
    if (path.empty()) return;
    returns_.push_back({path[0].edge, false, 0});
    for (const auto& [node, index] : path.subspan(1)) {
        const std::lock_guard lock(node->lock);
        uncount(*node, index);
    }
}

void Playouts::report_back(Node& root) {
    int64_t counted = 0;
    for (const Return& back : returns_) {
        if (back.counts) {
            count(root, back.edge, back.value);
            ++counted;
        } else {
            uncount(root, back.edge);
        }
    }
    returns_.clear();
    if (counted > 0) state_.nodes += counted;
}

void Playouts::report_back() {
    if (returns_.empty()) return;
    Node& root = *state_.tree.root();
    const std::lock_guard lock(root.lock);
    report_back(root);
}

void Playouts::abandon() {
    for (const Leaf& leaf : leaves_) {
        {
            const std::lock_guard lock(leaf.node->lock);
            leaf.node->state = NodeState::fresh;
        }
        take_back(leaf.path);
        if (state_.node_limit > 0) --state_.claimed;
    }
    leaves_.clear();
    report_back();
}

int Playouts::choose(Node& node, float draw) {
    const bool at_root = path_.empty();
    if (at_root && state_.root_moves.gumbel()) return state_.root_moves.next(node);
    const int chosen = choose_by_puct(node, draw);
    if (chosen < node.edge_count) return chosen;
    return state_.tree.add_edge(node) ? chosen : kNoRoom;
}

int Playouts::choose_by_puct(Node& node, float draw) {
    const bool at_root = path_.empty();
    const SearchSettings& s = state_.settings;
    const double all = static_cast<double>(node.visits) + node.pending;
    const double c = (at_root ? s.root_puct_init : s.puct_init) +
                     std::log((1.0 + all + s.puct_base) / s.puct_base);
    const double reach = c * std::sqrt(all);
    const double tried = static_cast<double>(node.visited_share) / static_cast<double>(kWholeShare);
    const double first_value =
        node.mean() - (at_root ? s.root_fpu_reduction : s.fpu_reduction) * std::sqrt(tried);
    const std::span<const Candidate> moves = node.moves();
    int best = kNothingOpen;
    double best_score = -std::numeric_limits<double>::infinity();
    bool untried = false;  // one was looked at; those that follow are less probable
    const auto consider = [&](std::size_t i, double value, double visits) {
        const double u = reach * static_cast<double>(moves[i].probability()) / (1.0 + visits);
        if (value + u > best_score) {
            best_score = value + u;
            best = static_cast<int>(i);
        }
    };
    for (std::size_t i = 0; i < node.edge_count; ++i) {
        if (at_root && !state_.root_moves.allowed(i)) continue;
        const Edge& edge = node.edges[i];
        if (edge.fate.proof == Proof::loss) continue;
        // At the root a won move is decided; who asks for more lines wants to know the others.
        if (at_root && edge.fate.proof == Proof::win) continue;
        const double visits = static_cast<double>(edge.visits) + edge.pending;
        if (edge.fate) {
            consider(i, static_cast<double>(worth(edge.fate, draw)), visits);
        } else if (visits > 0) {
            const double sum = edge.sum - kVirtualLoss * edge.pending;
            // Most moves are far behind: that needs no division.
            const double more = 1.0 + visits;
            const double u = reach * static_cast<double>(moves[i].probability());
            if (sum * more + u * visits < (best_score - kRounding) * visits * more) continue;
            consider(i, sum / visits, visits);
        } else if (!untried) {
            untried = true;
            consider(i, first_value, 0);
        }
    }
    // Of the moves that were never tried the most probable one has the highest score.
    if (!untried && node.edge_count < moves.size()) consider(node.edge_count, first_value, 0);
    if (best >= 0) return best;
    // All candidates lose: any shows it.
    return at_root ? kNothingOpen : 0;
}

}  // namespace keisei::engine
