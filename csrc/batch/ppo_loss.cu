#include "batch/launch.h"
#include "batch/ppo_loss.h"
#include "batch/team.cuh"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;
constexpr int kLanes = 8;
constexpr int kRows = kThreads / kLanes;
constexpr int kLoads = 4;  // that a lane has under way
constexpr int kFinishThreads = 512;
constexpr int kFinishWarps = kFinishThreads / 32;

// A team per row. Each lane keeps its share of the row's sums below a maximum that all agree on.
template <LogitType kType, typename Real>
__global__ void __launch_bounds__(kThreads) ppo_loss_kernel(PpoLossArgs<Real> args) {
    __shared__ uint32_t masks[kRows * kMaskWords];
    __shared__ Real lists[kRows][kListed];  // labels at first, then their logits
    __shared__ PpoTerms<Real> terms[kRows];
    const Team team = Team<kLanes>::here();
    const int slot = threadIdx.x / kLanes;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kRows;
    const int64_t row = first + slot;
    const bool wanted = row < args.rows && args.valid[row] != 0;
    PpoRow<Real> rest{};
    if (row < args.rows && team.lane == 0) rest = PpoRow<Real>::of(args, row);
    load_masks<kThreads>(masks, args.mask, first,
                         args.rows - first < kRows ? args.rows - first : kRows);
    __syncthreads();

    const uint32_t* const mask = masks + slot * kMaskWords;
    Real chosen = 0;
    if (wanted && team.lane == 0) chosen = chosen_logit<kType>(args, row, rest.action, mask);
    Real* const list = lists[slot];
    LabelLister<kLanes> lister(mask, team, wanted);
    LegalSums<Real> legal{-INFINITY, 0, 0};
    for (uint32_t base = 0; __any_sync(kAllLanes, base < lister.count()); base += kListed) {
        const int listed = lister.list(list, base);
        __syncwarp();
        Real max = legal.max;
        for (int i = team.lane; i < listed; i += kLanes * kLoads) {
            Real logit[kLoads];
#pragma unroll
            for (int k = 0; k < kLoads; ++k) {
                const int at = i + k * kLanes;
                logit[k] = at < listed
                               ? read_logit<kType>(
                                     args.logits, row * shogi::kLabels + static_cast<int>(list[at]))
                               : static_cast<Real>(-INFINITY);
            }
#pragma unroll
            for (int k = 0; k < kLoads; ++k) {
                const int at = i + k * kLanes;
                if (at < listed) list[at] = logit[k];
                max = logit[k] > max ? logit[k] : max;
            }
        }
        legal.rise_to(Team<kLanes>::max(max));
        for (int i = team.lane; i < listed; i += kLanes) legal.add(list[i]);
        __syncwarp();
    }
    legal.sum = Team<kLanes>::sum(legal.sum);
    legal.weighted = Team<kLanes>::sum(legal.weighted);

    if (team.lane == 0) {
        terms[slot] = PpoTerms<Real>::none();
        if (wanted) {
            terms[slot] = settle_row(args, row, rest, legal, chosen);
        } else if (row < args.rows) {
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
    __shared__ double warps[kPpoTerms][kFinishWarps];
    double sums[kPpoTerms] = {};
#pragma unroll 4
    for (int64_t part = threadIdx.x; part < args.part_count; part += kFinishThreads) {
#pragma unroll
        for (int i = 0; i < kPpoTerms; ++i) sums[i] += args.parts[i * args.part_count + part];
    }
#pragma unroll
    for (int i = 0; i < kPpoTerms; ++i) {
        sums[i] = Team<32>::sum(sums[i]);
        if (threadIdx.x % 32 == 0) warps[i][threadIdx.x / 32] = sums[i];
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
#pragma unroll
    for (int i = 0; i < kPpoTerms; ++i) {
        sums[i] = 0;
        for (int warp = 0; warp < kFinishWarps; ++warp) sums[i] += warps[i][warp];
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
