#include "batch/launch.h"
#include "batch/legal_rows.cuh"
#include "batch/ppo_loss_backward.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 64;
constexpr int kWarps = kThreads / kWarpLanes;
constexpr int kRows = kWarps * kWarpRows;
constexpr int kLoads = 4;  // that a lane has under way

// Rows are 2,187 numbers, an odd count; eight of them are a whole number of 16 bytes in every type.
static_assert(kRows % 8 == 0);

// A block writes zeros over all of its rows, 16 bytes at a time, and waits for nothing; the
// gradients of the legal labels then go where they belong, mostly while the zeros are in the cache.
template <LogitType kType, typename Real>
__global__ void __launch_bounds__(kThreads)
    ppo_loss_backward_kernel(PpoLossBackwardArgs<Real> args) {
    using Stored = typename Logit<kType>::Stored;
    __shared__ LegalLists lists[kWarps];
    __shared__ PpoRowGradient<Real> gradients[kRows];
    const int warp = threadIdx.x / kWarpLanes;
    const int slot = threadIdx.x / kTeamLanes;  // of the block's rows
    const int64_t begin = static_cast<int64_t>(blockIdx.x) * kRows;
    const int64_t row = begin + slot;
    const int64_t first = row - slot % kWarpRows;  // of the warp's rows
    const bool inside = row < args.rows;
    const bool leads = threadIdx.x % kTeamLanes == 0;
    const bool wanted = inside && args.valid[row] != 0;
    // Loads first: behind the zeros they would wait.
    if (inside && leads) {
        const Real weight = row_weight(args);
        if (wanted) gradients[slot] = PpoRowGradient<Real>::of(args, row, weight);
        args.values_gradient[row] = value_gradient(args, row, weight);
    }
    LegalRows legal_rows(lists[warp], args.mask + row * kMaskWords, wanted);

    Stored* const out = static_cast<Stored*>(args.logits_gradient);
    Stored* const zeros = out + begin * shogi::kLabels;
    const int64_t rows = args.rows - begin < kRows ? args.rows - begin : kRows;
    const int numbers = static_cast<int>(rows) * shogi::kLabels;
    constexpr int kWide = sizeof(uint4) / sizeof(Stored);
    const int whole = numbers / kWide;
    for (int i = threadIdx.x; i < whole; i += kThreads) {
        reinterpret_cast<uint4*>(zeros)[i] = {0, 0, 0, 0};
    }
    // The last block's rows may end between two words.
    for (int i = whole * kWide + threadIdx.x; i < numbers; i += kThreads) zeros[i] = Stored{};
    // Keeps the block's zeros before its gradients.
    __syncthreads();

    const int64_t start = first * shogi::kLabels;
    for (uint32_t base = 0; base < legal_rows.count(); base += kListed) {
        const int count = legal_rows.list(base);
        legal_rows.for_all_rows<kType, kLoads>(
            static_cast<const Stored*>(args.logits) + start, count,
            [&](int, ListedLabel listed, Real logit) {
                const int label = listed.label();
                const auto& gradient = gradients[warp * kWarpRows + listed.row()];
                out[start + listed.row() * shogi::kLabels + label] =
                    Logit<kType>::written(gradient.of_logit(label, logit));
            });
    }
}

template <typename Real>
void launch(const PpoLossBackwardArgs<Real>& args, void* stream) {
    if (args.rows == 0) return;
    with_type<Real>(args.type, [&]<LogitType kType>() {
        ppo_loss_backward_kernel<kType, Real>
            <<<blocks_for(args.rows, kRows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
                args);
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
