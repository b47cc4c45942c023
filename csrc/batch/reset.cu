#include "batch/launch.h"
#include "batch/reset.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) reset_kernel(const ResetArgs args) {
    __shared__ MaskStage<kThreads> stage;
    const State& state = args.state;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads;
    const int64_t game = first + threadIdx.x;
    if (game < state.games) {
        begin_game(state, game, state.progress_of(CLOCK, game), stage.row());
    }
    stage.flush(state.mask, first, state.games);
}

}  // namespace

void reset_cuda(const ResetArgs& args, void* stream) {
    if (args.state.games == 0) return;
    reset_kernel<<<blocks_for(args.state.games, kThreads), kThreads, 0,
                   static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("reset_kernel");
}

}  // namespace keisei::batch
