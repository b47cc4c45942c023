// A warp works on four rows at once, eight lanes (a team) to a row. Some forty of a row's 2,187
// labels are legal: the warp lists those of its rows in shared memory, reads their logits with all
// lanes alike, however the labels are spread over the rows, and sums up each row with its team.
// Only sectors with a legal logit are ever read, and no warp waits for another.
#pragma once

#include <cstdint>

#include "batch/layout.h"
#include "batch/logit.h"

namespace keisei::batch {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kWarpLanes = 32;
constexpr int kTeamLanes = 8;
constexpr int kWarpRows = kWarpLanes / kTeamLanes;
constexpr int kLaneWords = (kMaskWords + kTeamLanes - 1) / kTeamLanes;

// Labels of a warp's rows that are listed at a time; where there are more they go in rounds.
constexpr int kListed = 384;

// A label in a list with its row, of the warp's four, above it.
struct ListedLabel {
    static constexpr int kLabelBits = 12;
    static_assert(shogi::kLabels <= 1 << kLabelBits);

    uint16_t code;

    __device__ int row() const { return code >> kLabelBits; }
    __device__ int label() const { return code & ((1 << kLabelBits) - 1); }
};

// Shared memory of one warp.
struct LegalLists {
    uint32_t words[kLaneWords][kWarpLanes];  // each lane's own, which none other reads
    ListedLabel listed[kListed];
};

class LegalRows {
 public:
    // `mask` [81] of this lane's row, in global memory; a row that is not `wanted` has no labels
    // and its mask is not read. All lanes of a warp must call it, and `list` too.
    __device__ LegalRows(LegalLists& lists, const uint32_t* mask, bool wanted)
        : lists_(lists), lane_(threadIdx.x % kWarpLanes) {
        uint32_t words[kLaneWords];
#pragma unroll
        for (int i = 0; i < kLaneWords; ++i) {
            const int w = lane_ % kTeamLanes + i * kTeamLanes;
            words[i] = wanted && w < kMaskWords ? mask_word(mask, w) : 0;
        }
        uint32_t here = 0;
#pragma unroll
        for (int i = 0; i < kLaneWords; ++i) {
            lists.words[i][lane_] = words[i];
            here += __popc(words[i]);
            if (words[i] != 0) words_left_ |= 1u << i;
        }
        uint32_t up_to_here = here;
#pragma unroll
        for (int distance = 1; distance < kWarpLanes; distance *= 2) {
            const uint32_t below = __shfl_up_sync(kAllLanes, up_to_here, distance);
            if (lane_ >= distance) up_to_here += below;
        }
        next_ = up_to_here - here;
        end_ = up_to_here;
        const int team = lane_ / kTeamLanes * kTeamLanes;
        row_begin_ = __shfl_sync(kAllLanes, next_, team);
        row_end_ = __shfl_sync(kAllLanes, end_, team + kTeamLanes - 1);
        count_ = __shfl_sync(kAllLanes, up_to_here, kWarpLanes - 1);
    }

    // Legal labels of all four rows.
    __device__ uint32_t count() const { return count_; }

    // Lists the labels number `first` and on, kListed at most; returns how many. Calls must go
    // through the numbers in order.
    __device__ int list(uint32_t first) {
        __syncwarp();
        const uint32_t stop = min(end_, first + kListed);
        while (next_ < stop) {
            if (bits_ == 0) {
                const int i = shogi::lowest_bit(words_left_);
                words_left_ &= words_left_ - 1;
                bits_ = lists_.words[i][lane_];
                code_ = (lane_ % kTeamLanes + i * kTeamLanes) * shogi::kWordBits +
                        (lane_ / kTeamLanes << ListedLabel::kLabelBits);
            }
            lists_.listed[next_ - first].code =
                static_cast<uint16_t>(code_ + shogi::lowest_bit(bits_));
            bits_ &= bits_ - 1;
            ++next_;
        }
        __syncwarp();
        return static_cast<int>(min(count_ - first, static_cast<uint32_t>(kListed)));
    }

    // Calls visit(place) for this lane's share of what is listed (from number `first` on) of its
    // own row.
    template <typename Visit>
    __device__ void for_own_row(uint32_t first, Visit visit) const {
        const int begin = row_begin_ > first ? static_cast<int>(row_begin_ - first) : 0;
        const int end =
            row_end_ > first ? static_cast<int>(min(row_end_ - first, kListedCount)) : 0;
        for (int i = begin + lane_ % kTeamLanes; i < end; i += kTeamLanes) visit(i);
    }

    // Calls visit(place, listed label, logit) for this lane's share of the `count` labels listed of
    // all rows. `logits` are those of the warp's first row and what follows.
    template <LogitType kType, int kLoads, typename Visit>
    __device__ void for_all_rows(const typename Logit<kType>::Stored* logits, int count,
                                 Visit visit) const {
        for (int first = lane_; first < count; first += kWarpLanes * kLoads) {
            ListedLabel listed[kLoads];
            typename Logit<kType>::Stored logit[kLoads];
#pragma unroll
            for (int k = 0; k < kLoads; ++k) {
                const int place = first + k * kWarpLanes;
                if (place >= count) break;
                listed[k] = lists_.listed[place];
                logit[k] = logits[listed[k].row() * shogi::kLabels + listed[k].label()];
            }
#pragma unroll
            for (int k = 0; k < kLoads; ++k) {
                const int place = first + k * kWarpLanes;
                if (place >= count) break;
                visit(place, listed[k], Logit<kType>::read(logit[k]));
            }
        }
        __syncwarp();
    }

 private:
    static constexpr uint32_t kListedCount = kListed;

    LegalLists& lists_;
    int lane_;
    uint32_t words_left_ = 0;  // which of the lane's words still have labels to list
    uint32_t bits_ = 0;        // labels left of the word being listed
    int code_ = 0;             // of that word's first label
    uint32_t next_;            // number of this lane's next label in the warp's list
    uint32_t end_;             // one above its last label's
    uint32_t row_begin_;       // the same of its whole row
    uint32_t row_end_;
    uint32_t count_;
};

// What all lanes of a team make of their parts; the same in each lane. `merge` may not depend on
// the order but for rounding, which is always the same.
template <int kLanes = kTeamLanes, typename T, typename Merge>
__device__ T merged(T mine, Merge merge) {
#pragma unroll
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
        mine = merge(mine, __shfl_xor_sync(kAllLanes, mine, distance));
    }
    return mine;
}

template <int kLanes = kTeamLanes, typename T>
__device__ T sum_of(T mine) {
    return merged<kLanes>(mine, [](T a, T b) { return a + b; });
}

template <int kLanes = kTeamLanes, typename T>
__device__ T max_of(T mine) {
    return merged<kLanes>(mine, [](T a, T b) { return a > b ? a : b; });
}

}  // namespace keisei::batch
