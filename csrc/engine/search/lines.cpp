#include "engine/search/lines.h"

#include <algorithm>
#include <mutex>
#include <tuple>

namespace keisei::engine {
namespace {

// The edge that would be played here, as far as is known; null if none was tried.
const Edge* best_edge(const Node& node) {
    const auto rank = [](const Edge& edge) {
        const auto plies = static_cast<int64_t>(edge.fate.plies);
        switch (edge.fate.proof) {
            case Proof::win:
                return std::tuple(2, -plies);
            case Proof::loss:
                return std::tuple(0, plies);
            default:
                return std::tuple(1, static_cast<int64_t>(edge.visits));
        }
    };
    const Edge* best = nullptr;
    for (std::size_t i = 0; i < node.edge_count; ++i) {
        const Edge& edge = node.edges[i];
        if (edge.visits == 0 && !edge.fate) continue;
        if (best == nullptr || rank(edge) > rank(*best)) best = &edge;
    }
    return best;
}

void follow_best(Node* node, std::vector<int>& labels) {
    while (node != nullptr) {
        const std::lock_guard lock(node->lock);
        if (node->state != NodeState::expanded) return;
        const Edge* edge = best_edge(*node);
        if (edge == nullptr) return;
        labels.push_back(node->moves()[edge - node->edges].label);
        node = edge->node;
    }
}

}  // namespace

std::vector<SearchLine> best_lines(SearchState& state, std::size_t count) {
    std::vector<SearchLine> lines;
    std::vector<Node*> next;
    Node& root = *state.tree.root();
    {
        const std::lock_guard lock(root.lock);
        if (root.state != NodeState::expanded) return lines;
        const float draw =
            state.rules.draw_for_mover(state.history.back().position.white_to_move());
        for (const int index : state.root_moves.ranking(root, draw)) {
            const auto at = static_cast<std::size_t>(index);
            const Edge& edge = root.edges[at];
            const bool known = edge.visits > 0 || edge.fate;
            if (lines.size() == count || (!known && !lines.empty())) break;
            SearchLine line;
            line.labels.push_back(root.moves()[at].label);
            line.policy = root.moves()[at].probability();
            line.visits = edge.visits;
            const auto plies = static_cast<int>(edge.fate.plies);
            line.mate = edge.fate.proof == Proof::win    ? plies
                        : edge.fate.proof == Proof::loss ? -plies
                                                         : 0;
            line.draw = edge.fate.proof == Proof::draw;
            line.value = edge.fate         ? worth(edge.fate, draw)
                         : edge.visits > 0 ? static_cast<float>(edge.sum / edge.visits)
                                           : root.evaluation->value;
            lines.push_back(std::move(line));
            next.push_back(edge.node);
        }
    }
    for (std::size_t i = 0; i < lines.size(); ++i) follow_best(next[i], lines[i].labels);
    return lines;
}

int best_depth(SearchState& state) {
    const auto lines = best_lines(state, 1);
    return lines.empty() ? 0 : static_cast<int>(lines[0].labels.size());
}

}  // namespace keisei::engine
