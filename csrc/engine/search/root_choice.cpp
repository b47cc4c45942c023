#include "engine/search/root_choice.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <tuple>

#include "engine/search/random_bits.h"

namespace keisei::engine {
namespace {

constexpr int64_t kMostConsidered = 16;
// So many playouts at least for each move that is considered.
constexpr int64_t kBudgetPerMove = 4;
// The transformation of values into logits: (kValueVisits + most visits) * kValueScale * q.
constexpr double kValueVisits = 50.0;
constexpr double kValueScale = 0.5;

// `considered` moves in the first phase, then the better half of them, and so on; all phases have
// about equal parts of the budget.
std::vector<GumbelPhase> halving_plan(int64_t considered, int64_t budget) {
    if (considered <= 1) return {{0, 1, 0}};
    std::vector<GumbelPhase> plan;
    const auto phases = static_cast<int64_t>(std::ceil(std::log2(considered)));
    GumbelPhase phase{0, considered, 0};
    while (phase.first < budget) {
        plan.push_back(phase);
        const int64_t each = std::max<int64_t>(1, budget / (phases * phase.moves));
        phase.first += each * phase.moves;
        phase.visits += each;
        phase.moves = std::max<int64_t>(2, phase.moves / 2);
    }
    return plan;
}

}  // namespace

void RootMoves::begin(std::vector<int> labels, bool gumbel, int64_t budget) {
    labels_ = std::move(labels);
    ready_ = false;
    gumbel_ = gumbel;
    budget_ = budget;
    plan_.clear();
}

void RootMoves::prepare(const Node& root, const SearchSettings& settings, uint64_t noise_key) {
    const std::size_t count = root.moves().size();
    allowed_.assign(count, labels_.empty());
    visits_before_.assign(count, 0);
    prior_.assign(count, 0.0);
    for (std::size_t i = 0; i < count; ++i) {
        const Candidate& candidate = root.moves()[i];
        if (std::ranges::find(labels_, candidate.label) != labels_.end()) allowed_[i] = true;
        visits_before_[i] = root.edges[i].visits;
        const double uniform = unit(mixed(noise_key ^ mixed(candidate.label))) + 0x1p-54;
        const double noise = -std::log(-std::log(uniform));
        prior_[i] =
            settings.gumbel_scale * noise + std::log(std::max(candidate.probability(), 1e-6f));
    }
    allowed_count_ = static_cast<int>(std::ranges::count(allowed_, true));
    if (gumbel_) {
        const auto most = std::clamp<int64_t>(budget_ / kBudgetPerMove, 2, kMostConsidered);
        plan_ = halving_plan(std::min<int64_t>(most, allowed_count_), budget_);
    }
    ready_ = true;
}

uint32_t RootMoves::visits_now(const Node& root, std::size_t edge, bool with_pending) const {
    const Edge& e = root.edges[edge];
    return e.visits - visits_before_[edge] + (with_pending ? e.pending : 0);
}

double RootMoves::score(const Node& root, std::size_t edge, double visited_most) const {
    const Edge& e = root.edges[edge];
    if (e.fate.proof == Proof::loss) return -1e9 + e.fate.plies;
    const double q = e.fate.proof == Proof::win ? 1.0
                     : e.visits > 0             ? e.sum / static_cast<double>(e.visits)
                                                : root.mean();
    constexpr double kHalf = 0.5;
    return prior_[edge] + (kValueVisits + visited_most) * kValueScale * kHalf * (q + 1.0);
}

int RootMoves::next(const Node& root) {
    int64_t begun = 0;
    double most = 0;
    for (std::size_t i = 0; i < root.edge_count; ++i) {
        begun += visits_now(root, i, true);
        most = std::max(most, static_cast<double>(visits_now(root, i, false)));
    }
    int64_t wanted = std::numeric_limits<uint32_t>::max();
    if (begun < budget_) {
        const auto after = std::ranges::upper_bound(plan_, begun, {}, &GumbelPhase::first);
        const GumbelPhase& phase = *(after - 1);
        wanted = phase.visits + (begun - phase.first) / phase.moves;
    }
    int best = -1;
    double best_score = -std::numeric_limits<double>::infinity();
    int64_t nearest = std::numeric_limits<int64_t>::max();
    for (std::size_t i = 0; i < root.edge_count; ++i) {
        if (!allowed_[i] || root.edges[i].fate.proof == Proof::loss) continue;
        const int64_t away = std::abs(visits_now(root, i, true) - wanted);
        const double here = score(root, i, most);
        if (away < nearest || (away == nearest && here > best_score)) {
            nearest = away;
            best = static_cast<int>(i);
            best_score = here;
        }
    }
    return best;
}

std::vector<int> RootMoves::ranking(const Node& root, float draw) const {
    std::vector<int> order;
    double most = 0;
    for (std::size_t i = 0; i < root.edge_count; ++i) {
        if (allowed_[i]) order.push_back(static_cast<int>(i));
        most = std::max(most, static_cast<double>(visits_now(root, i, false)));
    }
    // Wins, shortest first; then what is open or drawn; then losses, longest first.
    const auto rank = [&](int i) {
        const auto at = static_cast<std::size_t>(i);
        const Edge& e = root.edges[at];
        const double visits = gumbel_ ? static_cast<double>(visits_now(root, at, false))
                                      : static_cast<double>(e.visits);
        switch (e.fate.proof) {
            case Proof::win:
                return std::tuple(2, -static_cast<double>(e.fate.plies), 0.0);
            case Proof::loss:
                return std::tuple(0, static_cast<double>(e.fate.plies), 0.0);
            default:
                return std::tuple(1, visits, gumbel_ ? score(root, at, most) : e.sum);
        }
    };
    std::ranges::stable_sort(order, [&](int a, int b) { return rank(a) > rank(b); });
    if (order.empty()) return order;
    // A certain draw is better than what is expected to be worse, however often that was visited.
    const Edge& first = root.edges[static_cast<std::size_t>(order[0])];
    if (first.fate.proof == Proof::none && first.visits > 0 &&
        first.sum / static_cast<double>(first.visits) < static_cast<double>(draw)) {
        const auto drawn = std::ranges::find_if(order, [&](int i) {
            return root.edges[static_cast<std::size_t>(i)].fate.proof == Proof::draw;
        });
        if (drawn != order.end()) std::rotate(order.begin(), drawn, drawn + 1);
    }
    return order;
}

Fate RootMoves::fate(const Node& root) const {
    return settled_among(root, true, [&](std::size_t i) { return allowed_[i]; });
}

}  // namespace keisei::engine
