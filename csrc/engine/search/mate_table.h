// What the mate search knows of positions.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

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
    explicit MateTable(std::size_t bytes)
        : buckets_(std::bit_floor(std::max<std::size_t>(bytes / sizeof(Bucket), 1))) {}

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

 private:
    struct Bucket {
        MateEntry entry[4];
    };
    Bucket& bucket(uint64_t key) { return buckets_[key & (buckets_.size() - 1)]; }

    std::vector<Bucket> buckets_;
};

}  // namespace keisei::engine
