// A few neighbouring lanes of a warp, a team, work on one row. Some eighty of its 2,187 labels are
// legal: the team lists them in shared memory and shares the list evenly, so only sectors with a
// legal logit are ever read. Four rows a warp make the reductions a fraction of the work that they
// are with one.
#pragma once

#include <cstdint>

#include "batch/layout.h"

namespace keisei::batch {

constexpr unsigned kAllLanes = 0xffffffffu;

// Labels listed at a time; a row with more goes in rounds.
constexpr int kListed = 256;

template <int kLanes>
struct Team {
    static_assert(kLanes > 1 && 32 % kLanes == 0);
    int lane;  // in the team

    __device__ static Team here() { return {static_cast<int>(threadIdx.x) % kLanes}; }

    // The operation must be associative and commutative up to rounding; every lane gets the same.
    template <typename T, typename Merge>
    __device__ static T all(T mine, Merge merge) {
#pragma unroll
        for (int distance = kLanes / 2; distance > 0; distance /= 2) {
            mine = merge(mine, __shfl_xor_sync(kAllLanes, mine, distance));
        }
        return mine;
    }

    template <typename T>
    __device__ static T sum(T mine) {
        return all(mine, [](T a, T b) { return a + b; });
    }

    template <typename T>
    __device__ static T max(T mine) {
        return all(mine, [](T a, T b) { return a > b ? a : b; });
    }
};

// All threads of the block must call it. Copies the masks of `rows` rows to shared memory.
template <int kThreads>
__device__ void load_masks(uint32_t* shared, const uint32_t* mask, int64_t first, int64_t rows) {
    const uint32_t* const from = mask + first * kMaskWords;
#pragma unroll 8
    for (int64_t i = threadIdx.x; i < rows * kMaskWords; i += kThreads) {
        shared[i] = from[i] & shogi::kWordMask;
    }
}

// Lists a row's legal labels, each lane those of its own words. Whole warps must call it.
template <int kLanes>
class LabelLister {
 public:
    // `mask` [81] in shared memory. A row that is not `wanted` has no labels.
    __device__ LabelLister(const uint32_t* mask, Team<kLanes> team, bool wanted)
        : mask_(mask), word_(team.lane) {
        uint32_t here = 0;
        if (wanted) {
            for (int w = team.lane; w < kMaskWords; w += kLanes) here += __popc(mask[w]);
        }
        uint32_t up_to_here = here;
#pragma unroll
        for (int distance = 1; distance < kLanes; distance *= 2) {
            const uint32_t below = __shfl_up_sync(kAllLanes, up_to_here, distance, kLanes);
            if (team.lane >= distance) up_to_here += below;
        }
        next_ = up_to_here - here;
        end_ = up_to_here;
        count_ = __shfl_sync(kAllLanes, up_to_here, kLanes - 1, kLanes);
    }

    __device__ uint32_t count() const { return count_; }

    // Puts the labels number `first` and on into `list`, kListed at most; returns how many.
    template <typename T>
    __device__ int list(T* list, uint32_t first) {
        const uint32_t stop = end_ < first + kListed ? end_ : first + kListed;
        while (next_ < stop) {
            if (bits_ == 0) {
                bits_ = mask_[word_];
                label_ = word_ * shogi::kWordBits;
                word_ += kLanes;
            }
            if (bits_ != 0) {
                list[next_ - first] = static_cast<T>(label_ + shogi::lowest_bit(bits_));
                bits_ &= bits_ - 1;
                ++next_;
            }
        }
        if (count_ <= first) return 0;
        return count_ - first < kListed ? static_cast<int>(count_ - first) : kListed;
    }

 private:
    const uint32_t* mask_;
    int word_;           // the next to take
    uint32_t bits_ = 0;  // left of the last one taken
    int label_ = 0;      // of its bit 0
    uint32_t next_;      // number of this lane's next label in the row's list
    uint32_t end_;       // one above its last label's
    uint32_t count_;
};

}  // namespace keisei::batch
