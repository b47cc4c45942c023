// Which move the search looks at next at its root, and which it would play.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/search/node.h"
#include "engine/search/settings.h"

namespace keisei::engine {

// A part of sequential halving: from playout `first` on, `moves` moves are visited in turn, which
// all have `visits` visits by then.
struct GumbelPhase {
    int64_t first;
    int64_t moves;
    int64_t visits;
};

// The root's moves in this search. Sequential halving after Danihelka et al., "Policy improvement
// by planning with Gumbel" (ICLR 2022), in the form without a completed policy below the root.
class RootMoves {
 public:
    // Until the root has been evaluated. `labels` are the moves that may be played; empty: all.
    void begin(std::vector<int> labels, bool gumbel, int64_t budget);
    bool ready() const { return ready_; }
    // The root has candidates, and an edge for each. Its lock is held.
    void prepare(const Node& root, const SearchSettings& settings, uint64_t noise_key);

    bool gumbel() const { return gumbel_; }
    bool allowed(std::size_t candidate) const { return allowed_[candidate]; }
    int allowed_count() const { return allowed_count_; }
    // The edge that Gumbel search tries next; -1: none is left open. The root's lock is held.
    int next(const Node& root);

    // The allowed edges, best first. The root's lock is held.
    std::vector<int> ranking(const Node& root, float draw) const;
    // What is known for certain of the root when only the allowed moves count.
    Fate fate(const Node& root) const;

 private:
    double score(const Node& root, std::size_t edge, double visited_most) const;
    uint32_t visits_now(const Node& root, std::size_t edge, bool with_pending) const;

    std::vector<int> labels_;
    bool ready_ = false;
    bool gumbel_ = false;
    int64_t budget_ = 0;
    int allowed_count_ = 0;
    std::vector<bool> allowed_;
    std::vector<uint32_t> visits_before_;  // of an earlier search
    std::vector<double> prior_;            // noise and log policy
    std::vector<GumbelPhase> plan_;
};

}  // namespace keisei::engine
