#include "batch/launch.h"
#include "batch/mask_row.cuh"
#include "batch/masked_sample.h"

namespace keisei::batch {
namespace {

constexpr int kWarps = 4;

__device__ SoftmaxChoice from_lane(const SoftmaxChoice& mine, int distance) {
    return {__shfl_xor_sync(kWholeWarp, mine.max, distance),
            __shfl_xor_sync(kWholeWarp, mine.sum, distance),
            __shfl_xor_sync(kWholeWarp, mine.weighted, distance),
            __shfl_xor_sync(kWholeWarp, mine.score, distance),
            __shfl_xor_sync(kWholeWarp, mine.logit, distance),
            __shfl_xor_sync(kWholeWarp, mine.label, distance)};
}

// A warp per game. Some eighty of 2,187 labels are legal: the warp first lists them in shared
// memory, then its lanes share the list, so only sectors with a legal logit are ever read and noise
// is drawn for legal labels alone.
__global__ void masked_sample_kernel(MaskedSampleArgs args) {
    __shared__ uint16_t lists[kWarps][shogi::kLabels];
    const int lane = threadIdx.x % kWarp;
    const int warp = threadIdx.x / kWarp;
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kWarps + warp;
    if (game >= args.games) return;

    uint16_t* list = lists[warp];
    const MaskRow row =
        read_mask_row<LaneWords::spread>(args.mask + game * shogi::kMaskWords, lane);
    uint32_t next = row.before;
#pragma unroll
    for (int i = 0; i < kWordsPerLane; ++i) {
        const int first = word_of_lane<LaneWords::spread>(lane, i) * shogi::kWordBits;
        for (uint32_t bits = row.word[i]; bits != 0; bits &= bits - 1) {
            list[next++] = static_cast<uint16_t>(first + shogi::lowest_bit(bits));
        }
    }
    __syncwarp();

    SoftmaxChoice choice = SoftmaxChoice::none();
    for (uint32_t i = lane; i < row.count; i += kWarp) {
        const int label = list[i];
        const float logit = read_logit(args.logits, args.type, game * shogi::kLabels + label);
        choice.offer(label, logit, label_score(args, game, label, logit));
    }
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        choice.merge(from_lane(choice, distance));
    }
    if (lane == 0) write_choice(args, game, choice);
}

}  // namespace

void masked_sample_cuda(const MaskedSampleArgs& args, void* stream) {
    if (args.games == 0) return;
    masked_sample_kernel<<<blocks_for(args.games, kWarps), kWarps * kWarp, 0,
                           static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("masked_sample_kernel");
}

}  // namespace keisei::batch
