#include "batch/launch.h"
#include "batch/legal_mask.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) legal_mask_kernel(const LegalMaskArgs args) {
    __shared__ MaskStage<kThreads> stage;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads;
    const int64_t game = first + threadIdx.x;
    if (game < args.games) legal_mask_game(args, game, stage.row());
    stage.flush(args.mask, first, args.games);
}

}  // namespace

void legal_mask_cuda(const LegalMaskArgs& args, void* stream) {
    if (args.games == 0) return;
    legal_mask_kernel<<<blocks_for(args.games, kThreads), kThreads, 0,
                        static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("legal_mask_kernel");
}

}  // namespace keisei::batch
