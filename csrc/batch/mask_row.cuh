// One warp reads one packed mask, three words a lane (the last lanes fewer or none).
#pragma once

#include <cstdint>

#include "batch/layout.h"

namespace keisei::batch {

constexpr int kWarp = 32;
constexpr unsigned kWholeWarp = 0xffffffffu;
constexpr int kWordsPerLane = 3;
static_assert(kWarp * kWordsPerLane >= shogi::kMaskWords);

// Which word of the mask is a lane's i-th: lower lanes hold lower labels.
__device__ inline int word_of_lane(int lane, int i) {
    return lane * kWordsPerLane + i;
}

struct MaskRow {
    uint32_t word[kWordsPerLane];
    uint32_t before;  // legal labels in the lanes below
    uint32_t here;    // legal labels in this lane
    uint32_t count;   // legal labels in the row, the same in every lane
};

__device__ inline MaskRow read_mask_row(const uint32_t* row, int lane) {
    MaskRow out;
    out.here = 0;
#pragma unroll
    for (int i = 0; i < kWordsPerLane; ++i) {
        const int w = word_of_lane(lane, i);
        out.word[i] = w < shogi::kMaskWords ? mask_word(row, w) : 0;
        out.here += __popc(out.word[i]);
    }
    uint32_t up_to_here = out.here;
#pragma unroll
    for (int distance = 1; distance < kWarp; distance *= 2) {
        const uint32_t below = __shfl_up_sync(kWholeWarp, up_to_here, distance);
        if (lane >= distance) up_to_here += below;
    }
    out.before = up_to_here - out.here;
    out.count = __shfl_sync(kWholeWarp, up_to_here, kWarp - 1);
    return out;
}

}  // namespace keisei::batch
