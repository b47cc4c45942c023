#include "batch/launch.h"
#include "batch/masked_sample.h"
#include "batch/team.cuh"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;
constexpr int kLanes = 8;
constexpr int kLoads = 4;  // that a lane has under way

// A team per game. Noise is drawn for legal labels alone.
template <LogitType kType>
__global__ void __launch_bounds__(kThreads) masked_sample_kernel(MaskedSampleArgs args) {
    constexpr int kGames = kThreads / kLanes;
    __shared__ uint32_t masks[kGames * kMaskWords];
    __shared__ float lists[kGames][kListed];  // labels at first, then their logits
    const Team team = Team<kLanes>::here();
    const int slot = threadIdx.x / kLanes;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kGames;
    const int64_t game = first + slot;
    const bool wanted = game < args.games;
    LabelNoise noise{};
    if (wanted) noise = LabelNoise::of(args, game);
    load_masks<kThreads>(masks, args.mask, first,
                         args.games - first < kGames ? args.games - first : kGames);
    __syncthreads();

    float* const list = lists[slot];
    LabelLister<kLanes> lister(masks + slot * kMaskWords, team, wanted);
    Choice choice = Choice::none();
    LegalSums<float> legal{-INFINITY, 0.0f, 0.0f};
    for (uint32_t base = 0; __any_sync(kAllLanes, base < lister.count()); base += kListed) {
        const int listed = lister.list(list, base);
        __syncwarp();
        float max = legal.max;
        for (int i = team.lane; i < listed; i += kLanes * kLoads) {
            int label[kLoads];
            float logit[kLoads];
#pragma unroll
            for (int k = 0; k < kLoads; ++k) {
                const int at = i + k * kLanes;
                label[k] = at < listed ? static_cast<int>(list[at]) : -1;
                if (label[k] >= 0) {
                    logit[k] = read_logit<kType>(args.logits, game * shogi::kLabels + label[k]);
                }
            }
#pragma unroll
            for (int k = 0; k < kLoads; ++k) {
                if (label[k] < 0) continue;
                list[i + k * kLanes] = logit[k];
                max = logit[k] > max ? logit[k] : max;
                choice.offer(noise.choice(label[k], logit[k]));
            }
        }
        legal.rise_to(Team<kLanes>::max(max));
        for (int i = team.lane; i < listed; i += kLanes) legal.add(list[i]);
        __syncwarp();
    }
    legal.sum = Team<kLanes>::sum(legal.sum);
    legal.weighted = Team<kLanes>::sum(legal.weighted);
#pragma unroll
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
        choice.offer({__shfl_xor_sync(kAllLanes, choice.score, distance),
                      __shfl_xor_sync(kAllLanes, choice.logit, distance),
                      __shfl_xor_sync(kAllLanes, choice.label, distance)});
    }
    if (wanted && team.lane == 0) write_choice(args, game, choice, legal);
}

}  // namespace

void masked_sample_cuda(const MaskedSampleArgs& args, void* stream) {
    if (args.games == 0) return;
    with_type<float>(args.type, [&]<LogitType kType>() {
        masked_sample_kernel<kType><<<blocks_for(args.games, kThreads / kLanes), kThreads, 0,
                                      static_cast<cudaStream_t>(stream)>>>(args);
    });
    check_launch("masked_sample_kernel");
}

}  // namespace keisei::batch
