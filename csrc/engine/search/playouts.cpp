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
// Plies under the root at which a walk ends, as a draw that nobody has proved: each takes some
// stack.
constexpr std::size_t kDeepest = 1000;
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
        returns_.push_back(returned(path, 1, true, values_[i]));
    }
    tell(returns_);
}

void Playouts::gather(int batch_size) {
    leaves_.clear();
    ways_.clear();
    returns_.clear();
    collided_.clear();
    steps_.clear();
    positions_.clear();
    labels_.clear();
    ends_.clear();
    done_ = 0;
    collisions_ = 0;
    stopped_ = false;
    line_ = state_.history;
    path_.clear();
    const shogi::Position position = line_.back().position;
    const auto places = static_cast<std::size_t>(batch_size);
    while (leaves_.size() < places && collisions_ < batch_size * kCollisionsPerPlace &&
           done_ < batch_size * kDonePerPlace && !stopped_ && !state_.end && !state_.full) {
        const auto room = static_cast<int>(places - leaves_.size());
        const int walks = claim(std::min(room, state_.walks_at_once));
        if (walks == 0) break;
        walk(*state_.tree.root(), position, line_.back().label, walks);
        tell(returns_);
    }
    tell(collided_);
}

int Playouts::claim(int wanted) {
    if (state_.node_limit == 0) return wanted;
    const int64_t before = state_.claimed.fetch_add(wanted);
    const auto granted =
        static_cast<int>(std::clamp<int64_t>(state_.node_limit - before, 0, wanted));
    if (granted < wanted) state_.claimed -= wanted - granted;
    return granted;
}

void Playouts::walk(Node& node, const shogi::Position& position, int label, int walks) {
    const bool at_root = path_.empty();
    const std::size_t first_way = ways_.size();
    std::unique_lock lock(node.lock);
    if (node.state == NodeState::pending) {
        lock.unlock();
        collide(walks);
        return;
    }
    __builtin_prefetch(node.edges);
    __builtin_prefetch(node.evaluation);
    if (!at_root) {
        line_.push_back({shogi::with_occurrence(position, node.occurrence), node.key, label,
                         node.times_before, node.plies_since_first, node.checks});
    }
    const float draw = state_.rules.draw_for_mover(position.white_to_move());
    const Fate fate = at_root ? Fate{} : node.fate;
    Fate repeated = at_root ? Fate{} : repeated_in_tree(node, static_cast<int>(path_.size()));
    if (path_.size() >= kDeepest) repeated = {Proof::draw, 0};
    if (fate || repeated) {
        lock.unlock();
        finish(walks, worth(fate ? fate : repeated, draw), fate);
    } else if (node.state == NodeState::fresh) {
        node.state = NodeState::pending;
        lock.unlock();
        open(node, false);
        if (walks > 1) collide(walks - 1);
    } else {
        const int left = choose_ways(node, draw, walks);
        lock.unlock();
        const std::size_t end = ways_.size();
        // Those that follow use the same memory.
        for (std::size_t i = first_way; i < end; ++i) follow(Way(ways_[i]));
        ways_.resize(first_way);
        if (left > 0) collide(left);
    }
    if (!at_root) line_.pop_back();
}

int Playouts::choose_ways(Node& node, float draw, int walks) {
    const std::size_t first_way = ways_.size();
    for (int left = walks; left > 0; --left) {
        const int chosen = choose(node, draw);
        if (chosen >= 0 && take(node, chosen, first_way)) continue;
        if (chosen != kNothingOpen) state_.full = true;
        return left;
    }
    return 0;
}

bool Playouts::take(Node& node, int chosen, std::size_t first_way) {
    Edge& edge = node.edges[chosen];
    const auto index = static_cast<uint16_t>(chosen);
    const auto known =
        std::ranges::find(ways_.begin() + static_cast<std::ptrdiff_t>(first_way), ways_.end(),
                          index, [](const Way& way) { return way.step.edge; });
    if (known != ways_.end()) {
        ++known->walks;
    } else {
        Way way{{&node, index}, node.moves()[chosen].label, edge.node, false, edge.fate, 1};
        prefetch(way.next);
        if (way.next == nullptr && !edge.fate) {
            way.next = state_.tree.new_node();
            if (way.next == nullptr) return false;
            way.next->state = NodeState::pending;
            way.created = true;
            edge.node = way.next;
        }
        ways_.push_back(way);
    }
    ++edge.pending;
    ++node.pending;
    return true;
}

void Playouts::follow(const Way& way) {
    path_.push_back(way.step);
    if (way.known) {
        // Seen by the mover there.
        const Fate there{way.known.before().proof, static_cast<uint16_t>(way.known.plies - 1)};
        const bool white = line_.back().position.white_to_move();
        finish(way.walks, -worth(way.known, state_.rules.draw_for_mover(white)), there);
    } else if (way.created) {
        line_.push_back(game::follow(line_, way.label));
        const shogi::Position position = line_.back().position;
        open(*way.next, true);
        line_.pop_back();
        // They go on if it was known already.
        if (way.walks > 1) walk(*way.next, position, way.label, way.walks - 1);
    } else {
        // Made while the node's memory is on its way.
        walk(*way.next, shogi::apply(line_.back().position, way.label), way.label, way.walks);
    }
    path_.pop_back();
}

void Playouts::finish(int walks, float value, Fate fate) {
    done_ += walks;
    back_up(path_, walks, value, fate);
}

void Playouts::collide(int walks) {
    collisions_ += walks;
    if (state_.node_limit > 0) state_.claimed -= walks;
    if (path_.empty()) {
        stopped_ = true;
    } else {
        collided_.push_back(returned(path_, walks, false, 0));
    }
}

void Playouts::open(Node& node, bool created) {
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
            finish(1, worth(fate ? fate : repeated, draw), fate);
            return;
        }
    }
    if (shared != nullptr) {
        expand(node, *shared);
        finish(1, shared->value, {});
        return;
    }
    leaves_.push_back({&node, key, complete, path_});
    positions_.push_back(here.position);
    ends_.push_back(static_cast<uint32_t>(labels_.size()));
    if (path_.empty()) stopped_ = true;  // nobody knows a second position yet
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

// Walks by this edge came back with a result for the mover at the node.
void count(Node& node, std::size_t index, int walks, float value) {
    Edge& edge = node.edges[index];
    const auto visits = static_cast<uint32_t>(walks);
    edge.pending -= visits;
    node.pending -= visits;
    if (edge.visits == 0) node.visited_share += node.moves()[index].share;
    edge.visits += visits;
    node.visits += visits;
    const double sum = static_cast<double>(value) * walks;
    edge.sum += sum;
    node.sum += sum;
}

}  // namespace

void Playouts::back_up(std::span<const Step> path, int walks, float value, Fate fate) {
    if (!fate) {
        returns_.push_back(returned(path, walks, true, value));
        return;
    }
    for (std::size_t i = path.size(); i-- > 0;) {
        const auto& [node, index] = path[i];
        value = -value;
        fate = fate.before();
        const std::lock_guard lock(node->lock);
        count(*node, index, walks, value);
        if (!fate) continue;
        Edge& edge = node->edges[index];
        if (!edge.fate || fate.plies < edge.fate.plies) edge.fate = fate;
        const Fate before = node->fate;
        node->fate = settled(*node);
        fate = node->fate;
        // From here on the result is certain, whatever the descent itself brought.
        if (fate && !before && fate.proof != Proof::draw) value = fate.proof == Proof::win ? 1 : -1;
    }
    state_.nodes += walks;
}

Playouts::Return Playouts::returned(std::span<const Step> path, int walks, bool counts,
                                    float value) {
    const Return out{steps_.size(), path.size(), walks, counts, value};
    steps_.insert(steps_.end(), path.begin(), path.end());
    return out;
}

void Playouts::tell(std::vector<Return>& returns) {
    int64_t counted = 0;
    for (const Return& back : returns) counted += back.counts ? back.walks : 0;
    if (returns.size() > 1) {
        const auto path = [&](const Return& back) {
            return std::span(steps_).subspan(back.first, back.length);
        };
        std::ranges::stable_sort(returns, [&](const Return& a, const Return& b) {
            return std::ranges::lexicographical_compare(path(a), path(b), {}, &Step::edge,
                                                        &Step::edge);
        });
    }
    tell(returns, 0);
    returns.clear();
    if (counted > 0) state_.nodes += counted;
}

void Playouts::tell(std::span<const Return> returns, std::size_t depth) {
    // The path of the root's own evaluation has no step.
    while (!returns.empty() && returns[0].length == depth) returns = returns.subspan(1);
    if (returns.empty()) return;
    const auto edge_of = [&](const Return& back) { return steps_[back.first + depth].edge; };
    Node& node = *steps_[returns[0].first + depth].node;
    {
        const std::lock_guard lock(node.lock);
        for (const Return& back : returns) {
            const uint16_t index = edge_of(back);
            if (back.counts) {
                const bool turned = (back.length - depth) % 2 == 1;
                count(node, index, back.walks, turned ? -back.value : back.value);
            } else {
                const auto walks = static_cast<uint32_t>(back.walks);
                node.edges[index].pending -= walks;
                node.pending -= walks;
            }
        }
    }
    while (!returns.empty()) {
        const auto other = std::ranges::upper_bound(returns, edge_of(returns[0]), {}, edge_of);
        const auto same = static_cast<std::size_t>(other - returns.begin());
        tell(returns.first(same), depth + 1);
        returns = returns.subspan(same);
    }
}

void Playouts::abandon() {
    for (const Leaf& leaf : leaves_) {
        {
            const std::lock_guard lock(leaf.node->lock);
            leaf.node->state = NodeState::fresh;
        }
        collided_.push_back(returned(leaf.path, 1, false, 0));
        if (state_.node_limit > 0) --state_.claimed;
    }
    leaves_.clear();
    tell(collided_);
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
