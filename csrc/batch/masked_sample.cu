#include "batch/launch.h"
#include "batch/legal_rows.cuh"
#include "batch/masked_sample.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 64;
constexpr int kWarps = kThreads / kWarpLanes;
constexpr int kGames = kWarps * kWarpRows;
constexpr int kLoads = 4;  // that a lane has under way

// Noise, which is most of the work, is drawn by all lanes for the labels of four games.
template <LogitType kType>
__global__ void __launch_bounds__(kThreads) masked_sample_kernel(MaskedSampleArgs args) {
    __shared__ LegalLists lists[kWarps];
    __shared__ float logits[kWarps][kListed];
    __shared__ float scores[kWarps][kListed];
    __shared__ LabelNoise noises[kGames];
    const int warp = threadIdx.x / kWarpLanes;
    const int slot = threadIdx.x / kTeamLanes;  // of the block's games
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kGames + slot;
    const int64_t first = game - slot % kWarpRows;  // of the warp's games
    const bool wanted = game < args.games;
    const bool leads = threadIdx.x % kTeamLanes == 0;
    if (wanted && leads) noises[slot] = LabelNoise::of(args, game);

    LegalRows legal_rows(lists[warp], args.mask + game * kMaskWords, wanted);
    Choice choice = Choice::none();
    LegalSums<float> legal{-INFINITY, 0.0f, 0.0f};
    for (uint32_t base = 0; base < legal_rows.count(); base += kListed) {
        const int count = legal_rows.list(base);
        legal_rows.for_all_rows<kType, kLoads>(
            static_cast<const typename Logit<kType>::Stored*>(args.logits) + first * shogi::kLabels,
            count, [&](int place, ListedLabel listed, float logit) {
                const LabelNoise& noise = noises[warp * kWarpRows + listed.row()];
                logits[warp][place] = logit;
                scores[warp][place] = noise.choice(listed.label(), logit).score;
            });
        float max = legal.max;
        legal_rows.for_own_row(base, [&](int place) {
            const float logit = logits[warp][place];
            max = logit > max ? logit : max;
            choice.offer({scores[warp][place], logit, lists[warp].listed[place].label()});
        });
        legal.rise_to(max_of(max));
        legal_rows.for_own_row(base, [&](int place) { legal.add(logits[warp][place]); });
    }
    legal.sum = sum_of(legal.sum);
    legal.weighted = sum_of(legal.weighted);
#pragma unroll
    for (int distance = kTeamLanes / 2; distance > 0; distance /= 2) {
        choice.offer({__shfl_xor_sync(kAllLanes, choice.score, distance),
                      __shfl_xor_sync(kAllLanes, choice.logit, distance),
                      __shfl_xor_sync(kAllLanes, choice.label, distance)});
    }
    if (wanted && leads) write_choice(args, game, choice, legal);
}

}  // namespace

void masked_sample_cuda(const MaskedSampleArgs& args, void* stream) {
    if (args.games == 0) return;
    with_type<float>(args.type, [&]<LogitType kType>() {
        masked_sample_kernel<kType>
            <<<blocks_for(args.games, kGames), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
                args);
    });
    check_launch("masked_sample_kernel");
}

}  // namespace keisei::batch
