// The nodes of the search tree. A node is one way to reach a position: it has one parent, and so
// one history, by which repetition and the move limit are exact. Whoever reads or changes a node
// that others can see holds its lock, and never two locks at once.
#pragma once

#include <cstdint>
#include <span>

#include "engine/search/spin_lock.h"
#include "shogi/outcome.h"

namespace keisei::engine {

enum class Proof : uint8_t { none, loss, draw, win };

// A result that no play can better, for one side, and how many plies off the end is.
struct Fate {
    Proof proof = Proof::none;
    uint16_t plies = 0;

    explicit operator bool() const { return proof != Proof::none; }
    // Seen by the opponent, whose move led here.
    Fate before() const {
        constexpr Proof kTurned[] = {Proof::none, Proof::win, Proof::draw, Proof::loss};
        return {kTurned[static_cast<int>(proof)],
                static_cast<uint16_t>(plies + (proof == Proof::none ? 0 : 1))};
    }
};

constexpr float kWholeShare = 65535.0f;

// A legal move and the policy's probability for it, as a part of kWholeShare.
struct Candidate {
    uint16_t label;
    uint16_t share;

    float probability() const { return static_cast<float>(share) / kWholeShare; }
};

// What an evaluator said of a position. The nodes of equal positions share one.
struct Evaluation {
    uint64_t key;    // evaluation_key
    uint32_t users;  // nodes; under the lock of the tree's table
    float value;
    uint16_t count;  // of the candidates, which follow in memory
    bool complete;   // all legal moves are candidates; else one that was left out might save the
                     // mover

    // By falling probability.
    std::span<const Candidate> moves() const {
        return {reinterpret_cast<const Candidate*>(this + 1), count};
    }
};

struct Node;

// A candidate that was tried. Results and the fate are those of the mover at the edge's node.
struct Edge {
    Node* node = nullptr;  // null too if it was given up for want of memory
    double sum = 0;        // of the results of its visits
    uint32_t visits = 0;
    uint32_t pending = 0;  // descents that have not come back
    Fate fate;
};

enum class NodeState : uint8_t {
    fresh,     // not evaluated
    pending,   // somebody is about to evaluate it: nobody else reads it
    expanded,  // has its candidates
    ended,     // the game is over here: `fate` says how
};

struct Node {
    SpinLock lock;
    NodeState state = NodeState::fresh;
    Fate fate;                 // for the mover here
    uint8_t occurrence = 0;    // as the planes show it
    int32_t times_before = 0;  // what follows is as in game::Reached
    int32_t plies_since_first = 0;
    int32_t plies_since_last = 0;  // since the last earlier occurrence, 0 if there is none
    shogi::CheckRuns checks{0, 0};
    uint64_t key = 0;

    const Evaluation* evaluation = nullptr;  // of an expanded node
    // Edge i belongs to candidate i: moves are tried in their order.
    Edge* edges = nullptr;
    uint16_t edge_count = 0;
    uint16_t edge_room = 0;
    // The share of the policy that was visited, as a part of kWholeShare.
    uint32_t visited_share = 0;
    uint32_t visits = 0;   // the evaluation, and all visits of edges since
    uint32_t pending = 0;  // of all edges
    double sum = 0;        // of results for the mover here: the evaluation's and the edges'

    std::span<Edge> tried() { return {edges, edge_count}; }
    // The candidates of an expanded node.
    std::span<const Candidate> moves() const { return evaluation->moves(); }
    bool all_tried() const { return evaluation->complete && edge_count == evaluation->count; }
    double mean() const { return visits > 0 ? sum / static_cast<double>(visits) : 0.0; }
};

// Two positions with the same evaluation have the same number: it is what the planes show.
inline uint64_t evaluation_key(uint64_t key, int occurrence) {
    const int shown = occurrence > 2 ? 2 : occurrence;
    return key ^ (static_cast<uint64_t>(shown) * 0x9e3779b97f4a7c15ull);
}

// The fate that those edges give which count; `all` says whether no other moves do.
template <typename Counts>
Fate settled_among(const Node& node, bool all, Counts&& counts) {
    Fate best;
    uint16_t longest = 0;
    bool drawn = false;
    for (std::size_t i = 0; i < node.edge_count; ++i) {
        if (!counts(i)) continue;
        const Fate fate = node.edges[i].fate;
        if (fate.proof == Proof::win && (!best || fate.plies < best.plies)) best = fate;
        all = all && fate;
        drawn = drawn || fate.proof == Proof::draw;
        longest = fate.plies > longest ? fate.plies : longest;
    }
    if (best || !all) return best;
    return {drawn ? Proof::draw : Proof::loss, longest};
}

// The fate that the edges give their node, which is expanded.
inline Fate settled(const Node& node) {
    return settled_among(node, node.all_tried(), [](std::size_t) { return true; });
}

}  // namespace keisei::engine
