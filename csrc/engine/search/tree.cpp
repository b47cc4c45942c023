#include "engine/search/tree.h"

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>

namespace keisei::engine {
namespace {

// What an allocation takes besides its bytes: the allocator's header and rounding.
constexpr std::size_t kHeader = 16;

template <typename T>
constexpr std::size_t bytes_of(std::size_t count) {
    return count * sizeof(T) + kHeader;
}

std::size_t bytes_of_evaluation(std::size_t candidates) {
    return sizeof(Evaluation) + bytes_of<Candidate>(candidates);
}

constexpr std::size_t kTableShare = 32;  // one part in so many of the memory
// Few enough to stay in a cache, and enough that threads seldom meet on a line of them.
constexpr std::size_t kStripes = 1 << 16;
constexpr std::size_t kSlotsOfBucket = 4;

template <typename Visit>
void for_each_below(Node* top, Visit&& visit) {
    std::vector<Node*> stack{top};
    while (!stack.empty()) {
        Node* node = stack.back();
        stack.pop_back();
        for (const Edge& edge : node->tried()) {
            if (edge.node != nullptr) stack.push_back(edge.node);
        }
        visit(node);
    }
}

}  // namespace

// Buckets of four slots; a full bucket loses its oldest.
struct Tree::Shared {
    struct Bucket {
        uint64_t key[kSlotsOfBucket] = {};
        Evaluation* evaluation[kSlotsOfBucket] = {};
    };
    std::vector<Bucket> buckets;
    std::vector<SpinLock> locks = std::vector<SpinLock>(kStripes);

    std::size_t index(uint64_t key) const { return key & (buckets.size() - 1); }

    template <typename Use>
    void use(uint64_t key, Use&& use) {
        const std::size_t at = index(key);
        const std::lock_guard lock(locks[at % kStripes]);
        use(buckets[at]);
    }
};

Tree::Tree()
    : shared_(std::make_unique<Shared>()), reaper_([this](Node* node) { release_all(node); }) {}

Tree::~Tree() {
    reaper_.wait();
    if (root_ != nullptr) release_all(root_);
}

void Tree::reset(std::size_t bytes) {
    reaper_.wait();
    if (root_ != nullptr) release_all(root_);
    root_ = nullptr;
    limit_ = bytes;
    const std::size_t buckets =
        std::bit_floor(std::max<std::size_t>(bytes / kTableShare / sizeof(Shared::Bucket), 1));
    if (shared_->buckets.size() != buckets) {
        shared_->buckets = std::vector<Shared::Bucket>(buckets);
    }
    used_ = buckets * sizeof(Shared::Bucket) + kStripes * sizeof(SpinLock);
    plant();
}

void Tree::plant() {
    if (root_ != nullptr) reaper_.give(root_);
    root_ = new Node;
    used_.fetch_add(bytes_of<Node>(1), std::memory_order_relaxed);
}

void Tree::advance(int label) {
    for (std::size_t i = 0; i < root_->edge_count; ++i) {
        if (root_->moves()[i].label != label) continue;
        Node* next = std::exchange(root_->edges[i].node, nullptr);
        if (next == nullptr) break;
        reaper_.give(std::exchange(root_, next));
        return;
    }
    plant();
}

bool Tree::take(std::size_t bytes) {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit_) return true;
    give_back(bytes);
    return false;
}

Node* Tree::new_node() {
    return take(bytes_of<Node>(1)) ? new Node : nullptr;
}

const Evaluation* Tree::store(uint64_t key, float value, bool complete,
                              std::span<const Candidate> candidates) {
    const std::size_t count = candidates.size();
    if (!take(bytes_of_evaluation(count))) return nullptr;
    static_assert(alignof(Candidate) <= alignof(Evaluation));
    static_assert(std::is_trivially_destructible_v<Evaluation>);
    void* memory = ::operator new(sizeof(Evaluation) + count * sizeof(Candidate));
    auto* evaluation =
        new (memory) Evaluation{key, 1, value, static_cast<uint16_t>(count), complete};
    std::uninitialized_copy_n(candidates.data(), count,
                              reinterpret_cast<Candidate*>(evaluation + 1));
    shared_->use(key, [&](Shared::Bucket& bucket) {
        for (std::size_t i = kSlotsOfBucket - 1; i > 0; --i) {
            bucket.key[i] = bucket.key[i - 1];
            bucket.evaluation[i] = bucket.evaluation[i - 1];
        }
        bucket.key[0] = key;
        bucket.evaluation[0] = evaluation;
    });
    return evaluation;
}

const Evaluation* Tree::share(uint64_t key) {
    Evaluation* found = nullptr;
    shared_->use(key, [&](const Shared::Bucket& bucket) {
        for (std::size_t i = 0; i < kSlotsOfBucket && found == nullptr; ++i) {
            if (bucket.key[i] == key) found = bucket.evaluation[i];
        }
        if (found != nullptr) ++found->users;
    });
    return found;
}

void Tree::prefetch(uint64_t key) const {
    __builtin_prefetch(&shared_->buckets[shared_->index(key)]);
}

bool Tree::add_edge(Node& node, bool must) {
    if (node.edge_count == node.edge_room) {
        const std::size_t room = std::min<std::size_t>(
            node.evaluation->count, std::max<std::size_t>(2, node.edge_room * std::size_t{2}));
        const std::size_t bytes = bytes_of<Edge>(room);
        if (must) {
            used_.fetch_add(bytes, std::memory_order_relaxed);
        } else if (!take(bytes)) {
            return false;
        }
        Edge* more = new Edge[room];
        std::copy_n(node.edges, node.edge_count, more);
        if (node.edges != nullptr) {
            delete[] node.edges;
            give_back(bytes_of<Edge>(node.edge_room));
        }
        node.edges = more;
        node.edge_room = static_cast<uint16_t>(room);
    }
    ++node.edge_count;
    return true;
}

void Tree::release(const Evaluation& evaluation) {
    // Only the tree changes it, under this lock.
    auto* const own = const_cast<Evaluation*>(&evaluation);
    bool last = false;
    shared_->use(own->key, [&](Shared::Bucket& bucket) {
        last = --own->users == 0;
        if (!last) return;
        for (auto*& slot : bucket.evaluation) {
            if (slot == own) slot = nullptr;
        }
    });
    if (!last) return;
    give_back(bytes_of_evaluation(own->count));
    ::operator delete(own);
}

void Tree::release(Node* node) {
    if (node->evaluation != nullptr) release(*node->evaluation);
    if (node->edges != nullptr) {
        delete[] node->edges;
        give_back(bytes_of<Edge>(node->edge_room));
    }
    delete node;
    give_back(bytes_of<Node>(1));
}

void Tree::release_all(Node* subtree) {
    for_each_below(subtree, [&](Node* node) { release(node); });
}

std::size_t Tree::prune() {
    reaper_.wait();
    const std::size_t before = bytes_used();
    if (before < limit_ - limit_ / 8) return limit_ - before;  // what was given up was enough
    std::map<uint32_t, std::size_t> bytes_by_visits;
    for_each_below(root_, [&](const Node* node) {
        std::size_t& bytes = bytes_by_visits[node->visits];
        bytes += bytes_of<Node>(1) + bytes_of<Edge>(node->edge_room);
        if (const Evaluation* shared = node->evaluation) {
            bytes += bytes_of_evaluation(shared->count) / shared->users;
        }
    });
    uint32_t most = 0;
    std::size_t gain = 0;
    for (const auto& [visits, bytes] : bytes_by_visits) {
        most = visits;
        gain += bytes;
        if (gain >= before / 2) break;
    }
    std::vector<Node*> stack{root_};
    while (!stack.empty()) {
        Node* node = stack.back();
        stack.pop_back();
        for (Edge& edge : node->tried()) {
            if (edge.node == nullptr) continue;
            // A descent that has not come back stands on nodes with pending edges.
            if (edge.pending == 0 && edge.node->visits <= most) {
                release_all(std::exchange(edge.node, nullptr));
            } else {
                stack.push_back(edge.node);
            }
        }
    }
    return before - bytes_used();
}

int Tree::permille_used() const {
    constexpr std::size_t kWhole = 1000;
    return static_cast<int>(
        std::min(kWhole, bytes_used() * kWhole / std::max<std::size_t>(limit_, 1)));
}

}  // namespace keisei::engine
