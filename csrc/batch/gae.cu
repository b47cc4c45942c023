#include "batch/gae.h"
#include "batch/launch.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;

// A thread per game: neighbours read neighbouring columns.
__global__ void gae_kernel(GaeArgs args) {
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    if (game < args.games) gae_of_game(args, game);
}

}  // namespace

void gae_cuda(const GaeArgs& args, void* stream) {
    if (args.games == 0 || args.steps == 0) return;
    gae_kernel<<<blocks_for(args.games, kThreads), kThreads, 0,
                 static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("gae_kernel");
}

}  // namespace keisei::batch
