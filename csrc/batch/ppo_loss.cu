#include "batch/launch.h"
#include "batch/legal_rows.cuh"
#include "batch/ppo_loss.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 64;
constexpr int kWarps = kThreads / kWarpLanes;
constexpr int kRows = kWarps * kWarpRows;
constexpr int kLoads = 4;      // that a lane has under way
constexpr int kTermWarps = 4;  // that sum up one term
constexpr int kFinishThreads = kPpoTerms * kTermWarps * kWarpLanes;

// Each lane keeps its share of its row's sums, below a maximum that the team agrees on.
template <LogitType kType, typename Real>
__global__ void __launch_bounds__(kThreads) ppo_loss_kernel(PpoLossArgs<Real> args) {
    __shared__ LegalLists lists[kWarps];
    __shared__ Real logits[kWarps][kListed];
    __shared__ PpoTerms<Real> terms[kRows];
    const int warp = threadIdx.x / kWarpLanes;
    const int slot = threadIdx.x / kTeamLanes;  // of the block's rows
    const int64_t row = static_cast<int64_t>(blockIdx.x) * kRows + slot;
    const int64_t first = row - slot % kWarpRows;  // of the warp's rows
    const bool inside = row < args.rows;
    const bool leads = threadIdx.x % kTeamLanes == 0;
    const bool wanted = inside && args.valid[row] != 0;
    PpoRow<Real> rest{};
    if (inside && leads) rest = PpoRow<Real>::of(args, row);

    const uint32_t* const mask = args.mask + row * kMaskWords;
    LegalRows legal_rows(lists[warp], mask, wanted);
    Real chosen = 0;
    if (wanted && leads) chosen = chosen_logit<kType>(args, row, rest.action, mask);
    LegalSums<Real> legal{-INFINITY, 0, 0};
    for (uint32_t base = 0; base < legal_rows.count(); base += kListed) {
        const int count = legal_rows.list(base);
        legal_rows.for_all_rows<kType, kLoads>(
            static_cast<const typename Logit<kType>::Stored*>(args.logits) + first * shogi::kLabels,
            count, [&](int place, ListedLabel, Real logit) { logits[warp][place] = logit; });
        Real max = legal.max;
        legal_rows.for_own_row(base, [&](int place) {
            const Real logit = logits[warp][place];
            max = logit > max ? logit : max;
        });
        legal.rise_to(max_of(max));
        legal_rows.for_own_row(base, [&](int place) { legal.add(logits[warp][place]); });
    }
    legal.sum = sum_of(legal.sum);
    legal.weighted = sum_of(legal.weighted);

    if (leads) {
        terms[slot] = PpoTerms<Real>::none();
        if (wanted) {
            terms[slot] = settle_row(args, row, rest, legal, chosen);
        } else if (inside) {
            clear_row(args, row);
        }
    }
    __syncthreads();
    if (threadIdx.x < kPpoTerms) {
        Real sum = 0;
        for (int i = 0; i < kRows; ++i) sum += terms[i].term[threadIdx.x];
        args.parts[threadIdx.x * args.part_count + blockIdx.x] = sum;
    }
}

// One block sums the parts, always in the same order.
template <typename Real>
__global__ void __launch_bounds__(kFinishThreads) ppo_loss_finish_kernel(PpoLossArgs<Real> args) {
    __shared__ double warps[kPpoTerms][kTermWarps];
    constexpr int kTermThreads = kTermWarps * kWarpLanes;
    const int term = threadIdx.x / kTermThreads;
    const Real* const parts = args.parts + term * args.part_count;
    double sum = 0;
#pragma unroll 8
    for (int64_t part = threadIdx.x % kTermThreads; part < args.part_count; part += kTermThreads) {
        sum += parts[part];
    }
    sum = sum_of<kWarpLanes>(sum);
    if (threadIdx.x % kWarpLanes == 0) {
        warps[term][threadIdx.x / kWarpLanes % kTermWarps] = sum;
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
    double sums[kPpoTerms] = {};
#pragma unroll
    for (int i = 0; i < kPpoTerms; ++i) {
        for (int warp = 0; warp < kTermWarps; ++warp) sums[i] += warps[i][warp];
    }
    finish_loss(args, sums);
}

template <typename Real>
void launch(const PpoLossArgs<Real>& args, void* stream) {
    const auto on = static_cast<cudaStream_t>(stream);
    if (args.rows > 0) {
        with_type<Real>(args.type, [&]<LogitType kType>() {
            ppo_loss_kernel<kType, Real>
                <<<static_cast<unsigned>(args.part_count), kThreads, 0, on>>>(args);
        });
        check_launch("ppo_loss_kernel");
    }
    ppo_loss_finish_kernel<Real><<<1, kFinishThreads, 0, on>>>(args);
    check_launch("ppo_loss_finish_kernel");
}

}  // namespace

int64_t ppo_loss_parts_cuda(int64_t rows) {
    return blocks_for(rows, kRows);
}

void ppo_loss_cuda(const PpoLossArgs<float>& args, void* stream) {
    launch(args, stream);
}

void ppo_loss_cuda(const PpoLossArgs<double>& args, void* stream) {
    launch(args, stream);
}

}  // namespace keisei::batch
