#include "batch/launch.h"
#include "batch/mask_row.cuh"
#include "batch/uniform_sample.h"

namespace keisei::batch {
namespace {

constexpr int kWarps = 8;

// A warp per game: a packed mask is 324 bytes in a row.
__global__ void uniform_sample_kernel(UniformSampleArgs args) {
    const int lane = threadIdx.x % kWarp;
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
    if (game >= args.games) return;
    const MaskRow row = read_mask_row(args.mask + game * shogi::kMaskWords, lane);
    if (row.count == 0) {
        if (lane == 0) args.action[game] = -1;
        return;
    }
    const uint32_t choice =
        uniform_choice(args.seed, args.first_game + game, args.clock[game], row.count);
    if (choice < row.before || choice >= row.before + row.here) return;
    uint32_t k = choice - row.before;
    int label = word_of_lane(lane, 0) * shogi::kWordBits;
#pragma unroll
    for (int i = 0; i < kWordsPerLane; ++i) {
        const auto in_word = static_cast<uint32_t>(__popc(row.word[i]));
        if (k < in_word) {
            args.action[game] = label + nth_set_bit(row.word[i], k);
            return;
        }
        k -= in_word;
        label += shogi::kWordBits;
    }
}

}  // namespace

void uniform_sample_cuda(const UniformSampleArgs& args, void* stream) {
    if (args.games == 0) return;
    uniform_sample_kernel<<<blocks_for(args.games, kWarps), kWarps * kWarp, 0,
                            static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("uniform_sample_kernel");
}

}  // namespace keisei::batch
