#include "engine/search/search.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "notation/usi.h"

namespace keisei::engine {
namespace {

struct Node {
    struct Child {
        int label;
        float policy;
        int64_t visits = 0;
        double sum = 0;  // of results for the mover at the parent
        std::unique_ptr<Node> node = nullptr;
    };
    std::vector<Child> children;
    int64_t visits = 0;
    bool terminal = false;
    float value = 0;
};

}  // namespace

class Search::Implementation {
 public:
    std::vector<Evaluator*> evaluators;
    SearchSettings settings;
    game::Game game;
    std::unique_ptr<Node> root;
    int64_t evaluations = 0;

    // Returns the result for the mover here.
    float visit(Node& node, int depth, int& deepest) {
        deepest = std::max(deepest, depth);
        ++node.visits;
        if (node.visits == 1) return expand(node, depth);
        if (node.terminal) return node.value;
        Node::Child* best = nullptr;
        double best_score = -1e9;
        for (auto& child : node.children) {
            const double q = child.visits > 0 ? child.sum / static_cast<double>(child.visits)
                                              : node.value - settings.fpu_reduction;
            const double u = settings.puct_init * child.policy *
                             std::sqrt(static_cast<double>(node.visits)) /
                             (1.0 + static_cast<double>(child.visits));
            if (q + u > best_score) {
                best_score = q + u;
                best = &child;
            }
        }
        if (!best->node) best->node = std::make_unique<Node>();
        game.push(best->label);
        const float result = -visit(*best->node, depth + 1, deepest);
        game.pop();
        ++best->visits;
        best->sum += result;
        return result;
    }

    float expand(Node& node, int depth) {
        const auto outcome = game.outcome();
        const int mover = game.position().white_to_move() ? 1 : 0;
        if (depth > 0 && outcome.ending != shogi::Ending::none) {
            node.terminal = true;
            node.value = outcome.winner < 0 ? 0.0f : outcome.winner == mover ? 1.0f : -1.0f;
            return node.value;
        }
        std::vector<float> logits(shogi::kLabels);
        float value = 0;
        const shogi::Position position = game.position();
        evaluators.at(0)->evaluate({&position, 1}, logits, {&value, 1});
        ++evaluations;
        node.value = value;
        double total = 0;
        for (const int label : notation::legal_labels(position)) {
            const float weight = std::exp(logits[static_cast<std::size_t>(label)]);
            node.children.push_back({label, weight});
            total += weight;
        }
        for (auto& child : node.children) child.policy /= static_cast<float>(total);
        return node.value;
    }

    SearchReport report(int64_t nodes, int deepest) const {
        SearchReport out{
            .nodes = nodes, .evaluations = evaluations, .seldepth = deepest, .lines = {}};
        std::vector<const Node::Child*> order;
        for (const auto& child : root->children) order.push_back(&child);
        std::ranges::stable_sort(order, [](const auto* a, const auto* b) {
            return a->visits != b->visits ? a->visits > b->visits : a->policy > b->policy;
        });
        for (const auto* child : order) {
            const double visits = static_cast<double>(std::max<int64_t>(child->visits, 1));
            SearchLine line{.labels = {child->label},
                            .value = static_cast<float>(child->sum / visits),
                            .visits = child->visits,
                            .policy = child->policy};
            for (const Node* at = child->node.get(); at != nullptr && !at->children.empty();) {
                const auto next = std::ranges::max_element(at->children, {}, &Node::Child::visits);
                if (next->visits == 0) break;
                line.labels.push_back(next->label);
                at = next->node.get();
            }
            out.lines.push_back(std::move(line));
        }
        out.depth = out.lines.empty() ? 0 : static_cast<int>(out.lines[0].labels.size());
        return out;
    }
};

Search::Search() : implementation_(std::make_unique<Implementation>()) {}
Search::~Search() = default;

void Search::set_evaluators(std::span<Evaluator* const> evaluators) {
    implementation_->evaluators.assign(evaluators.begin(), evaluators.end());
    clear();
}
void Search::configure(const SearchSettings& settings) {
    implementation_->settings = settings;
}
void Search::clear() {
    implementation_->root.reset();
}
void Search::set_position(const game::Game& game) {
    implementation_->game = game;
    clear();
}

SearchReport Search::run(const SearchLimits& limits, Stop& stop, const Reporter& reporter) {
    auto& search = *implementation_;
    search.root = std::make_unique<Node>();
    search.evaluations = 0;
    int64_t nodes = 0;
    int deepest = 0;
    SearchReport report;
    while (nodes == 0 || !stop.requested()) {
        search.visit(*search.root, 0, deepest);
        if (nodes++ == 0) {
            std::erase_if(search.root->children, [&](const auto& child) {
                return !limits.root_labels.empty() &&
                       std::ranges::find(limits.root_labels, child.label) ==
                           limits.root_labels.end();
            });
        }
        report = search.report(nodes, deepest);
        if (reporter) reporter(report);
        if ((limits.nodes > 0 && nodes >= limits.nodes) ||
            (limits.depth > 0 && report.depth >= limits.depth)) {
            break;
        }
    }
    return report;
}

}  // namespace keisei::engine
