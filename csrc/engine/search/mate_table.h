// What the mate search knows of positions.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

namespace keisei::engine {

// Proof numbers, seen by whoever is to move: `mine` is what the mover needs to reach his goal (mate
// for the attacker, escape for the defender), `theirs` what the opponent needs.
struct ProofNumbers {
    uint32_t mine = 1;
    uint32_t theirs = 1;
};

constexpr uint32_t kProofInfinity = 100'000'000;

struct MateEntry {
    uint64_t key = 0;
    ProofNumbers numbers;
    uint32_t work = 0;   // nodes that were spent under it
    uint16_t plies = 0;  // of a mate: to its end
    uint8_t epoch = 0;   // of a result that a repetition took part in: no other one may use it
    bool by_repetition = false;
};

// Buckets of four; a full one loses the entry with the least work.
class MateTable {
 public:
    // Throws std::bad_alloc.
    explicit MateTable(std::size_t bytes)
        : count_(std::bit_floor(std::max<std::size_t>(bytes / sizeof(Bucket), 1))),
          buckets_(static_cast<Bucket*>(std::calloc(count_, sizeof(Bucket)))) {
        if (!buckets_) throw std::bad_alloc();
    }

    MateEntry* find(uint64_t key) {
        for (auto& entry : bucket(key).entry) {
            if (entry.work != 0 && entry.key == key) return &entry;
        }
        return nullptr;
    }
    void store(const MateEntry& entry) {
        MateEntry* place = find(entry.key);
        if (place == nullptr) {
            auto& entries = bucket(entry.key).entry;
            place = std::ranges::min_element(entries, {}, &MateEntry::work);
        }
        *place = entry;
    }

    void clear() { std::memset(static_cast<void*>(buckets_.get()), 0, count_ * sizeof(Bucket)); }

 private:
    // Zeros are an empty one, and such memory is made where it is touched first: most searches are
    // over before they have seen it all.
    struct Bucket {
        MateEntry entry[4];
    };
    static_assert(std::is_trivially_copyable_v<Bucket>);
    struct Free {
        void operator()(Bucket* buckets) const { std::free(buckets); }
    };
    Bucket& bucket(uint64_t key) { return buckets_.get()[key & (count_ - 1)]; }

    std::size_t count_;
    std::unique_ptr<Bucket, Free> buckets_;
};

}  // namespace keisei::engine
