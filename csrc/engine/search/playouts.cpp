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
// Instead of a choice.
constexpr int kNothingOpen = -1;
constexpr int kNoRoom = -2;

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
           done_ < batch_size * kDonePerPlace && !state_.end) {
        if (state_.claimed.fetch_add(1) >= state_.node_limit && state_.node_limit > 0) {
            --state_.claimed;
            break;
        }
        const Landing landing = descend();
        if (landing == Landing::done) {
            ++done_;
        } else if (landing == Landing::batch) {
            leaves_.back().path = path_;
        } else {
            --state_.claimed;
            collided_.push_back(path_);
            if (landing == Landing::full) {
                state_.full = true;
                break;
            }
        }
        // Nobody knows a second position yet.
        if (path_.empty() && landing != Landing::done) break;
    }
    for (const auto& path : collided_) take_back(path);
}

Playouts::Landing Playouts::descend() {
    line_.resize(state_.history.size());
    path_.clear();
    Node* node = state_.tree.root();
    int label = -1;  // of the move that leads to `node`
    shogi::Position next_position;
    for (;;) {
        const auto depth = static_cast<int>(path_.size());
        // Made while the node's memory is on its way.
        if (depth > 0) next_position = shogi::apply(line_.back().position, label);
        std::unique_lock lock(node->lock);
        if (node->state == NodeState::pending) return Landing::collision;
        __builtin_prefetch(node->edges);
        __builtin_prefetch(node->evaluation);
        if (depth > 0) {
            line_.push_back({shogi::with_occurrence(next_position, node->occurrence), node->key,
                             label, node->times_before, node->plies_since_first, node->checks});
        }
        const float draw = state_.rules.draw_for_mover(line_.back().position.white_to_move());
        const Fate fate = depth > 0 ? node->fate : Fate{};
        const Fate repeated = depth > 0 ? repeated_in_tree(*node, depth) : Fate{};
        if (fate || repeated) {
            lock.unlock();
            back_up(path_, worth(fate ? fate : repeated, draw), fate);
            return Landing::done;
        }
        if (node->state == NodeState::fresh) {
            node->state = NodeState::pending;
            lock.unlock();
            return open(*node, false);
        }
        const int chosen = choose(*node, draw);
        if (chosen < 0) return chosen == kNoRoom ? Landing::full : Landing::collision;
        Edge& edge = node->edges[chosen];
        label = node->moves()[chosen].label;
        Node* next = edge.node;
        prefetch(next);
        if (next == nullptr && !edge.fate) {
            next = state_.tree.new_node();
            if (next == nullptr) return Landing::full;
            next->state = NodeState::pending;
            edge.node = next;
            ++edge.pending;
            ++node->pending;
            path_.push_back({node, static_cast<uint16_t>(chosen)});
            lock.unlock();
            line_.push_back(game::follow(line_, label));
            return open(*next, true);
        }
        ++edge.pending;
        ++node->pending;
        path_.push_back({node, static_cast<uint16_t>(chosen)});
        if (edge.fate) {
            const Fate known = edge.fate;
            lock.unlock();
            // Seen by the mover there.
            const Fate there{known.before().proof, static_cast<uint16_t>(known.plies - 1)};
            back_up(path_, -worth(known, draw), there);
            return Landing::done;
        }
        node = next;
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

void Playouts::back_up(std::span<const Step> path, float value, Fate fate) {
    for (std::size_t i = path.size(); i-- > 0;) {
        const auto& [node, index] = path[i];
        value = -value;
        fate = fate.before();
        const std::lock_guard lock(node->lock);
        Edge& edge = node->edges[index];
        --edge.pending;
        --node->pending;
        if (edge.visits++ == 0) node->visited_share += node->moves()[index].share;
        ++node->visits;
        edge.sum += static_cast<double>(value);
        node->sum += static_cast<double>(value);
        if (!fate) continue;
        if (!edge.fate || fate.plies < edge.fate.plies) edge.fate = fate;
        const Fate before = node->fate;
        node->fate = settled(*node);
        fate = node->fate;
        // From here on the result is certain, whatever the descent itself brought.
        if (fate && !before && fate.proof != Proof::draw) value = fate.proof == Proof::win ? 1 : -1;
    }
    ++state_.nodes;
}

void Playouts::take_back(std::span<const Step> path) {
    for (const auto& [node, index] : path) {
        const std::lock_guard lock(node->lock);
        --node->edges[index].pending;
        --node->pending;
    }
}

void Playouts::abandon() {
    for (const Leaf& leaf : leaves_) {
        {
            const std::lock_guard lock(leaf.node->lock);
            leaf.node->state = NodeState::fresh;
        }
        take_back(leaf.path);
        --state_.claimed;
    }
    leaves_.clear();
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
            consider(i, (edge.sum - kVirtualLoss * edge.pending) / visits, visits);
        } else {
            consider(i, first_value, 0);
        }
    }
    // Of the moves that were never tried the most probable one has the highest score.
    if (node.edge_count < moves.size()) consider(node.edge_count, first_value, 0);
    if (best >= 0) return best;
    // All candidates lose: any shows it.
    return at_root ? kNothingOpen : 0;
}

}  // namespace keisei::engine
