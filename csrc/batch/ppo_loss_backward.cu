#include "batch/launch.h"
#include "batch/ppo_loss_backward.h"
#include "batch/team.cuh"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;
constexpr int kLanes = 16;
constexpr int kLoads = 4;    // that a lane has under way
constexpr int kBlocks = 10;  // on a multiprocessor

// Rows are 2,187 numbers, an odd count; so many of them together are a whole number of 16 bytes.
template <typename Stored>
constexpr int kRows = 16 / sizeof(Stored);

// A block first writes zeros over all of its rows, 16 bytes at a time, and waits for nothing; the
// gradients of the legal labels then go where they belong, mostly while the zeros are in the cache.
template <LogitType kType, typename Real>
__global__ void __launch_bounds__(kThreads, kBlocks)
    ppo_loss_backward_kernel(PpoLossBackwardArgs<Real> args) {
    using Stored = typename Logit<kType>::Stored;
    constexpr int kBlockRows = kRows<Stored>;
    static_assert(kBlockRows * shogi::kLabels * sizeof(Stored) % sizeof(uint4) == 0);
    static_assert(kBlockRows * kLanes <= kThreads);
    __shared__ uint32_t masks[kBlockRows * kMaskWords];
    __shared__ uint16_t lists[kBlockRows][kListed];

    const Team team = Team<kLanes>::here();
    const int slot = threadIdx.x / kLanes;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kBlockRows;
    const int64_t rows = args.rows - first < kBlockRows ? args.rows - first : kBlockRows;
    const int64_t row = first + slot;
    const bool wanted = slot < rows && args.valid[row] != 0;
    Stored* const out = static_cast<Stored*>(args.logits_gradient) + first * shogi::kLabels;
    const int numbers = static_cast<int>(rows) * shogi::kLabels;
    const int whole = numbers * sizeof(Stored) / sizeof(uint4);
    for (int i = threadIdx.x; i < whole; i += kThreads) {
        reinterpret_cast<uint4*>(out)[i] = {0, 0, 0, 0};
    }
    // The last block's rows may end between two words.
    for (int i = whole * kBlockRows + threadIdx.x; i < numbers; i += kThreads) out[i] = Stored{};
    load_masks<kThreads>(masks, args.mask, first, rows);
    const Real weight = row_weight(args);
    PpoRowGradient<Real> gradient{};
    if (wanted) gradient = PpoRowGradient<Real>::of(args, row, weight);
    // Also keeps this block's zeros before its gradients.
    __syncthreads();

    // Threads beyond the last slot have no row; they stay for the warp's sake.
    const int safe = slot < kBlockRows ? slot : 0;
    uint16_t* const list = lists[safe];
    LabelLister<kLanes> lister(masks + safe * kMaskWords, team, wanted);
    for (uint32_t base = 0; __any_sync(kAllLanes, base < lister.count()); base += kListed) {
        const int listed = lister.list(list, base);
        __syncwarp();
        for (int i = team.lane; i < listed; i += kLanes * kLoads) {
            int label[kLoads];
            Real logit[kLoads];
#pragma unroll
            for (int k = 0; k < kLoads; ++k) {
                const int at = i + k * kLanes;
                label[k] = at < listed ? list[at] : -1;
                if (label[k] >= 0) {
                    logit[k] = read_logit<kType>(args.logits, row * shogi::kLabels + label[k]);
                }
            }
#pragma unroll
            for (int k = 0; k < kLoads; ++k) {
                if (label[k] < 0) continue;
                out[slot * shogi::kLabels + label[k]] =
                    Logit<kType>::written(gradient.of_logit(label[k], logit[k]));
            }
        }
        __syncwarp();
    }
    if (threadIdx.x < rows) {
        const int64_t mine = first + threadIdx.x;
        args.values_gradient[mine] = value_gradient(args, mine, weight);
    }
}

template <typename Real>
void launch(const PpoLossBackwardArgs<Real>& args, void* stream) {
    if (args.rows == 0) return;
    with_type<Real>(args.type, [&]<LogitType kType>() {
        ppo_loss_backward_kernel<kType, Real>
            <<<blocks_for(args.rows, kRows<typename Logit<kType>::Stored>), kThreads, 0,
               static_cast<cudaStream_t>(stream)>>>(args);
    });
    check_launch("ppo_loss_backward_kernel");
}

}  // namespace

void ppo_loss_backward_cuda(const PpoLossBackwardArgs<float>& args, void* stream) {
    launch(args, stream);
}

void ppo_loss_backward_cuda(const PpoLossBackwardArgs<double>& args, void* stream) {
    launch(args, stream);
}

}  // namespace keisei::batch
