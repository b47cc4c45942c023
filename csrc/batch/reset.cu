#include "batch/game_block.cuh"
#include "batch/reset.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) reset_kernel(const ResetArgs args) {
    __shared__ GameBlock<kThreads> block;
    const State& state = args.state;
    const int64_t game = block.first() + threadIdx.x;
    const bool inside = game < state.games;
    block.begin_games(state, inside, game, inside ? state.progress_of(CLOCK, game) : 0,
                      [&](int thread, int w, int32_t value) {
                          state.positions[w * state.games + block.first() + thread] = value;
                      });
    block.flush(state.mask, state.games);
}

}  // namespace

void reset_cuda(const ResetArgs& args, void* stream) {
    if (args.state.games == 0) return;
    reset_kernel<<<blocks_for(args.state.games, kThreads), kThreads, 0,
                   static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("reset_kernel");
}

}  // namespace keisei::batch
