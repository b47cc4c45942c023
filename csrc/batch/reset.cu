#include "batch/game_warp.cuh"
#include "batch/reset.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) reset_kernel(const ResetArgs args) {
    __shared__ GameRows<kThreads> rows;
    const State& state = args.state;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads;
    const int64_t game = first + threadIdx.x;
    const bool inside = game < state.games;
    rows.begin_games(state, first, inside, inside ? state.progress_of(CLOCK, game) : 0,
                     [&](int thread, int w, int32_t value) {
                         state.positions[w * state.games + first + thread] = value;
                     });
    rows.flush(state.mask, first, state.games);
}

}  // namespace

void reset_cuda(const ResetArgs& args, void* stream) {
    if (args.state.games == 0) return;
    reset_kernel<<<blocks_for(args.state.games, kThreads), kThreads, 0,
                   static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("reset_kernel");
}

}  // namespace keisei::batch
