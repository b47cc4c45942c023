// Where nodes live: within a bound of memory, with evaluations shared among equal positions.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "engine/search/cache_line.h"
#include "engine/search/node.h"
#include "engine/search/reaper.h"

namespace keisei::engine {

class Tree {
 public:
    Tree();
    ~Tree();
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;

    // Forgets all nodes. `bytes` bounds what nodes, edges and the table of shared evaluations take.
    void reset(std::size_t bytes);
    Node* root() const { return root_; }
    // A new root without anything under it; the rest is given up.
    void plant();
    // Goes on with the subtree under the root's candidate with this label; with a new root if there
    // is none.
    void advance(int label);

    // Null, or false, where the memory is full. The caller holds the lock of the node, if others
    // can see it.
    Node* new_node();
    // `must`: even then.
    bool add_edge(Node& node, bool must = false);

    // A new evaluation for one node, to be shared from now on.
    const Evaluation* store(uint64_t key, float value, bool complete,
                            std::span<const Candidate> candidates);
    // The evaluation with this key for one more node; null if there is none.
    const Evaluation* share(uint64_t key);
    // One node needs it no longer.
    void release(const Evaluation& evaluation);
    // `share` will be asked for it soon.
    void prefetch(uint64_t key) const;

    // Gives up the least visited nodes, about half of the memory; the edges to them stay. Nobody
    // else may use the tree meanwhile. Returns the bytes gained.
    std::size_t prune();

    // Until what was given up is free again: what depends on it would differ from run to run.
    void settle() { reaper_.wait(); }

    int permille_used() const;
    std::size_t bytes_used() const { return used_.load(std::memory_order_relaxed); }
    std::size_t bytes_limit() const { return limit_; }

 private:
    struct Shared;  // the table

    bool take(std::size_t bytes);
    void give_back(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
    void release(Node* node);         // one node
    void release_all(Node* subtree);  // and all under it

    alignas(kCacheLine) std::atomic<std::size_t> used_{0};  // written by all threads
    alignas(kCacheLine) std::size_t limit_ = 0;
    Node* root_ = nullptr;
    std::unique_ptr<Shared> shared_;
    Reaper<Node*> reaper_;  // last: it ends before what it uses
};

}  // namespace keisei::engine
