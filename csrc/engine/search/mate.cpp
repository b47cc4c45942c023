#include "engine/search/mate.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <unordered_set>

#include "engine/search/checks.h"
#include "engine/search/mate_table.h"
#include "engine/search/rules.h"
#include "shogi/apply.h"
#include "shogi/key.h"
#include "shogi/legal.h"

namespace keisei::engine {
namespace {

using shogi::Position;

// A longer way is given up as if it repeated a position.
constexpr int kMostPlies = 1000;
constexpr int kOccurrencesThatEnd = 4;

uint32_t sum(uint32_t a, uint32_t b) {
    return std::min(kProofInfinity, a + b);
}

struct Child {
    uint16_t label = 0;
    uint16_t plies = 0;
    bool by_repetition = false;
    bool certain = false;  // the numbers are final: a repetition
    uint64_t key = 0;
    ProofNumbers numbers;
};

struct Known {
    ProofNumbers numbers;
    uint16_t plies = 0;
    bool by_repetition = false;
};

// A move's worth is its position's, turned: the mover needs the cheapest of what is theirs there,
// the opponent all of what is mine there.
Known sum_up(const std::vector<Child>& children) {
    Known out;
    out.numbers = {kProofInfinity, 0};
    uint16_t shortest = UINT16_MAX;
    uint16_t longest = 0;
    bool reached_by_repetition = true;
    for (const Child& child : children) {
        out.numbers.mine = std::min(out.numbers.mine, child.numbers.theirs);
        out.numbers.theirs = sum(out.numbers.theirs, child.numbers.mine);
        out.by_repetition = out.by_repetition || child.by_repetition;
        longest = std::max(longest, child.plies);
        if (child.numbers.theirs != 0) continue;
        shortest = std::min(shortest, child.plies);
        reached_by_repetition = reached_by_repetition && child.by_repetition;
    }
    if (out.numbers.mine == 0) {
        out.plies = static_cast<uint16_t>(shortest + 1);
        out.by_repetition = reached_by_repetition;
    } else if (out.numbers.theirs == 0) {
        out.plies = children.empty() ? 0 : static_cast<uint16_t>(longest + 1);
    } else {
        out.by_repetition = false;
    }
    return out;
}

}  // namespace

class MateSearch::Solver {
 public:
    explicit Solver(int64_t memory_mib)
        : table_(static_cast<std::size_t>(std::max<int64_t>(memory_mib, 1)) << 20) {}

    void set_position(std::span<const game::Reached> history) {
        root_ = history.back().position;
        root_key_ = history.back().key;
        result_ = {};
        begin_epoch();
        ended_.clear();
        for (const auto& reached : history) {
            if (reached.times_before + 2 >= kOccurrencesThatEnd) ended_.push_back(reached.key);
        }
    }

    const MateResult& advance(int64_t nodes, const std::function<bool()>& stop) {
        stop_ = &stop;
        node_limit_ = result_.nodes + nodes;
        // One look there always is: it sees a mate by the next move.
        for (bool first = true; result_.answer == MateAnswer::unknown && (first || !out());
             first = false) {
            const Known known = search(root_, root_key_, 0, kProofInfinity, kProofInfinity);
            if (known.numbers.mine == 0) {
                std::vector<int> line;
                if (!trace(line)) break;
                result_.labels = std::move(line);
                result_.answer = MateAnswer::mate;
            } else if (known.numbers.theirs == 0) {
                if (!known.by_repetition || escapes()) {
                    result_.answer = MateAnswer::no_mate;
                } else {
                    begin_epoch();  // what leant on a repetition on one way was used on another
                }
            }
        }
        return result_;
    }

 private:
    // What is known by repetition holds no longer.
    void begin_epoch() {
        if (++epoch_ == 0) table_.clear();
    }
    bool out() const { return result_.nodes >= node_limit_ || (*stop_)(); }

    // The attacker moves at even plies.
    static bool attacking(int ply) { return ply % 2 == 0; }

    void list_children(const Position& position, int ply, std::vector<Child>& children) {
        labels_.clear();
        if (attacking(ply)) {
            list_checks(position, labels_);
        } else {
            list_moves(position, true, labels_);
        }
        children.clear();
        for (const uint16_t label : labels_) {
            const Position next = shogi::apply(position, label);
            Child child;
            child.label = label;
            child.key = shogi::key(next);
            if (std::ranges::find(way_, child.key) != way_.end() ||
                std::ranges::find(ended_, child.key) != ended_.end() || ply + 1 >= kMostPlies) {
                // The attacker does not get through here.
                child.numbers = attacking(ply) ? ProofNumbers{0, kProofInfinity}
                                               : ProofNumbers{kProofInfinity, 0};
                child.by_repetition = true;
                child.certain = true;
            } else if (attacking(ply)) {
                // So many answers have to be refuted.
                const auto answers = static_cast<uint32_t>(shogi::count_legal(next));
                child.numbers =
                    answers == 0 ? ProofNumbers{kProofInfinity, 0} : ProofNumbers{1, answers};
            }
            children.push_back(child);
        }
    }

    // Takes over what the table knows by now.
    void look_up(std::vector<Child>& children) {
        for (Child& child : children) {
            if (child.certain) continue;
            const MateEntry* entry = table_.find(child.key);
            if (entry == nullptr) continue;
            if (entry->by_repetition && entry->epoch != epoch_) continue;
            child.numbers = entry->numbers;
            child.plies = entry->plies;
            child.by_repetition = entry->by_repetition;
        }
    }

    // Until one of the numbers reaches its threshold.
    Known search(const Position& position, uint64_t key, int ply, uint32_t most_mine,
                 uint32_t most_theirs) {
        const int64_t begun = result_.nodes++;
        const auto level = static_cast<std::size_t>(ply);
        if (levels_.size() <= level) levels_.resize(level + 1);
        std::vector<Child>& children = levels_[level];
        way_.push_back(key);
        list_children(position, ply, children);
        Known known;
        for (;;) {
            look_up(children);
            known = sum_up(children);
            const auto [mine, theirs] = known.numbers;
            if (mine == 0 || theirs == 0 || mine >= most_mine || theirs >= most_theirs || out()) {
                break;
            }
            Child* best = nullptr;
            uint32_t second = kProofInfinity;
            for (Child& child : children) {
                if (best != nullptr && child.numbers.theirs >= best->numbers.theirs) {
                    second = std::min(second, child.numbers.theirs);
                    continue;
                }
                if (best != nullptr) second = best->numbers.theirs;
                best = &child;
            }
            const uint32_t child_mine = most_theirs >= kProofInfinity
                                            ? kProofInfinity
                                            : most_theirs - (theirs - best->numbers.mine);
            // A little more than the second best needs: else two of them take turns all the time.
            const uint32_t child_theirs = std::min(most_mine, sum(second, second / 4 + 1));
            const Known below = search(shogi::apply(position, best->label), best->key, ply + 1,
                                       child_mine, child_theirs);
            best->numbers = below.numbers;
            best->plies = below.plies;
            best->by_repetition = below.by_repetition;
        }
        way_.pop_back();
        table_.store(
            {.key = key,
             .numbers = known.numbers,
             .work = static_cast<uint32_t>(std::min<int64_t>(result_.nodes - begun, UINT32_MAX)),
             .plies = known.plies,
             .epoch = epoch_,
             .by_repetition = known.by_repetition});
        return known;
    }

    // The line of a mate at the root. What the table has lost is searched again: false if that is
    // too much.
    bool trace(std::vector<int>& line) {
        Position position = root_;
        bool found = true;
        std::vector<Child> children;
        for (int ply = 0; found; ++ply) {
            way_.push_back(shogi::key(position));
            list_children(position, ply, children);
            if (children.empty()) break;
            look_up(children);
            const Child* chosen = nullptr;
            for (Child& child : children) {
                const bool wanted =
                    (attacking(ply) ? child.numbers.theirs : child.numbers.mine) == 0;
                if (!wanted && attacking(ply)) continue;
                if (!wanted) {
                    const Known known = search(shogi::apply(position, child.label), child.key,
                                               ply + 1, kProofInfinity, kProofInfinity);
                    found = found && known.numbers.mine == 0;
                    child.plies = known.plies;
                }
                if (chosen == nullptr ||
                    (attacking(ply) ? child.plies < chosen->plies : child.plies > chosen->plies)) {
                    chosen = &child;
                }
            }
            if (chosen == nullptr && !again(position, ply, children, chosen)) found = false;
            if (!found) break;
            line.push_back(chosen->label);
            position = shogi::apply(position, chosen->label);
        }
        way_.clear();
        return found;
    }

    // Proves a position of the attacker anew, and finds the move.
    bool again(const Position& position, int ply, std::vector<Child>& children,
               const Child*& chosen) {
        const uint64_t key = way_.back();
        way_.pop_back();
        const Known known = search(position, key, ply, kProofInfinity, kProofInfinity);
        way_.push_back(key);
        if (known.numbers.mine != 0) return false;
        children = levels_[static_cast<std::size_t>(ply)];
        const auto move = std::ranges::find(
            children, 0u, [](const Child& child) { return child.numbers.theirs; });
        if (move == children.end()) return false;
        chosen = &*move;
        return true;
    }

    // Whether the defender has an answer to every check for ever. A set of positions of the
    // attacker is made, the root's one of them, such that each check from one of them has an answer
    // that leads to one of them again: then no check ever mates, whatever way a position is reached
    // by.
    bool escapes() {
        std::unordered_set<uint64_t> safe{root_key_};
        std::vector<Position> open{root_};
        std::vector<Child> checks;
        while (!open.empty() && !out()) {
            const Position position = open.back();
            open.pop_back();
            ++result_.nodes;
            list_children(position, 0, checks);
            for (const Child& check : checks) {
                if (check.certain) continue;
                const Position checked = shogi::apply(position, check.label);
                if (!find_answer(checked, check.key, safe, open)) return false;
            }
        }
        return open.empty();
    }

    bool find_answer(const Position& checked, uint64_t key, std::unordered_set<uint64_t>& safe,
                     std::vector<Position>& open) {
        constexpr int kDefending = 1;
        std::vector<Child> answers;
        way_.push_back(key);
        list_children(checked, kDefending, answers);
        way_.pop_back();
        for (const Child& answer : answers) {
            if (answer.certain || safe.contains(answer.key)) return true;
        }
        look_up(answers);
        const auto take = [&](const Child& answer) {
            safe.insert(answer.key);
            open.push_back(shogi::apply(checked, answer.label));
            return true;
        };
        for (const Child& answer : answers) {
            if (answer.numbers.theirs == 0) return take(answer);
        }
        for (const Child& answer : answers) {
            if (answer.numbers.mine == 0) continue;
            const Known known = search(shogi::apply(checked, answer.label), answer.key,
                                       kDefending + 1, kProofInfinity, kProofInfinity);
            if (known.numbers.theirs == 0) return take(answer);
        }
        return false;
    }

    MateTable table_;
    Position root_{};
    uint64_t root_key_ = 0;
    std::vector<uint64_t> ended_;  // positions that end the game when they come once more
    std::vector<uint64_t> way_;    // from the root to here
    std::deque<std::vector<Child>> levels_;
    std::vector<uint16_t> labels_;
    MateResult result_;
    int64_t node_limit_ = 0;
    const std::function<bool()>* stop_ = nullptr;
    uint8_t epoch_ = 0;
};

MateSearch::MateSearch(int64_t memory_mib) : solver_(std::make_unique<Solver>(memory_mib)) {}
MateSearch::~MateSearch() = default;

void MateSearch::set_position(std::span<const game::Reached> history) {
    solver_->set_position(history);
}
MateResult MateSearch::advance(int64_t nodes, const std::function<bool()>& stop) {
    return solver_->advance(nodes, stop);
}

MateResult solve_mate(const game::Game& game, const MateLimits& limits, const Stop& stop) {
    MateSearch search(limits.memory_mib);
    search.set_position(game.history());
    const int64_t nodes = limits.nodes > 0 ? limits.nodes : INT64_MAX / 2;
    return search.advance(nodes, [&] { return stop.requested(); });
}

}  // namespace keisei::engine
