// What one thread of the search does: walks down the tree to positions that nobody has evaluated,
// has a batch of them evaluated, and carries the results up again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/evaluator.h"
#include "engine/search/cache_line.h"
#include "engine/search/gate.h"
#include "engine/search/mate.h"
#include "engine/search/root_choice.h"
#include "engine/search/rules.h"
#include "engine/search/tree.h"

namespace keisei::engine {

// What the threads of one search share. The constants are set while no thread works. What is read
// at each step and what is counted lie on lines of their own: a line that another core has written
// to takes longer to fetch than a step does.
struct SearchState {
    Tree tree;
    Gate gate;  // inside: who touches the tree
    SearchSettings settings;
    TreeRules rules;
    std::vector<game::Reached> history;  // of the game, up to the root
    int64_t node_limit = 0;              // 0: none
    int walks_at_once = 1;               // that a thread begins before it looks at the root again
    bool whole_root = false;  // all legal moves are candidates there, whatever the rules leave out
    RootMoves root_moves;     // under the root's lock

    alignas(kCacheLine) std::atomic<bool> end{false};  // the threads shall come to an end
    std::atomic<bool> full{false};                     // the memory
    std::atomic<int> deepest{0};

    alignas(kCacheLine) std::atomic<int64_t> claimed{0};  // playouts that were begun
    std::atomic<int64_t> nodes{0};                        // playouts that came back
    std::atomic<int64_t> evaluations{0};
    std::atomic<int64_t> waited{0};  // for them, by all threads together, in nanoseconds
    // Batches that came back: whoever finds all taken waits for one.
    std::atomic<uint32_t> rounds{0};
};

class Playouts {
 public:
    Playouts(SearchState& state, Evaluator& evaluator)
        : state_(state), evaluator_(evaluator), mate_(kMateMib) {}

    // One batch. Returns false if there was nothing to do: another thread has it all. Throws what
    // the evaluator throws, having taken back what it had begun.
    bool round(int batch_size);

 private:
    struct Step {
        Node* node;
        uint16_t edge;
    };
    // A step that walks take, with where it leads to.
    struct Way {
        Step step;
        int label;
        Node* next;    // null if `known`
        bool created;  // just now, and pending
        Fate known;    // of the mover at the step's node
        int walks;
    };
    // Walks that came back by one path: each with a result at its end, or with nothing.
    struct Return {
        std::size_t first;  // of its steps
        std::size_t length;
        int walks;
        bool counts;
        float value;  // for the mover where the path ends
    };
    // A position on its way through the evaluator.
    struct Leaf {
        Node* node;
        uint64_t key;  // evaluation_key
        bool complete;
        std::vector<Step> path;
    };
    static constexpr int64_t kMateMib = 1;

    void gather(int batch_size);
    // How many of `wanted` playouts may begin.
    int claim(int wanted);
    // So many walks go on from the node that path_ leads to. They go together as far as they go the
    // same way, since most of the work is to fetch and lock nodes that all threads change.
    // `position` is the node's but for its occurrence.
    void walk(Node& node, const shogi::Position& position, int label, int walks);
    // Chooses the next steps of so many walks and adds them to ways_. The node is locked. Returns
    // how many found none: nothing is open, or the memory is full.
    int choose_ways(Node& node, float draw, int walks);
    void follow(const Way& way);
    // Adds an expanded node's edge to ways_, with its node made if there was none, for one walk
    // more. Returns false if the memory is full.
    bool take(Node& node, int chosen, std::size_t first_way);
    // `node` is pending, by this thread; `created` just now.
    void open(Node& node, bool created);
    // Walks that end at path_ with a result.
    void finish(int walks, float value, Fate fate);
    // Walks that end there with nothing. They count as lost until the round's end, so that others
    // go elsewhere.
    void collide(int walks);
    // A mate from the last position of the line, if a short search finds one.
    Fate find_mate();
    // Puts candidates from logits into candidates_, by falling probability.
    void rank_moves(std::span<const uint16_t> labels, std::span<const float> logits);
    // Opens the pending nodes of the batch.
    void spread();
    // Opens the pending node.
    void expand(Node& node, const Evaluation& evaluation);
    void back_up(std::span<const Step> path, int walks, float value, Fate fate);
    // Tells all nodes of those paths what came back, each of them once.
    void tell(std::vector<Return>& returns);
    void tell(std::span<const Return> returns, std::size_t depth);
    Return returned(std::span<const Step> path, int walks, bool counts, float value);
    void evaluate();
    void abandon();
    int choose(Node& node, float draw);
    int choose_by_puct(Node& node, float draw);

    SearchState& state_;
    Evaluator& evaluator_;
    std::vector<game::Reached> line_;  // the history and the descent
    std::vector<Step> path_;
    std::vector<Candidate> candidates_;
    MateSearch mate_;  // for leaves

    std::vector<Way> ways_;  // that are to be gone, of all nodes of the path
    std::vector<Leaf> leaves_;
    std::vector<Return> returns_;   // that the nodes have not been told of
    std::vector<Return> collided_;  // of this round
    std::vector<Step> steps_;       // of both
    std::vector<shogi::Position> positions_;
    std::vector<uint16_t> labels_;
    std::vector<uint32_t> ends_;
    std::vector<float> logits_;
    std::vector<float> values_;
    int done_ = 0;          // playouts of this round that needed no evaluation
    int collisions_ = 0;    // walks of this round that came to nothing
    bool stopped_ = false;  // at the root: no walk gets beyond it now
};

// Makes the root ready for a search: all its edges are there. Whoever holds its lock.
void prepare_root(SearchState& state);

}  // namespace keisei::engine
