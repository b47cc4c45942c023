#include "batch/game_warp.cuh"
#include "batch/legal_mask.h"
#include "batch/step_game.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;
constexpr int kThreadsAnSm = 512;  // 128 registers each

__global__ void __launch_bounds__(kThreads, kThreadsAnSm / kThreads)
    legal_mask_kernel(const LegalMaskArgs args) {
    __shared__ GameRows<kThreads> rows;
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    if (game < args.games) {
        const NextMoves next = next_moves(load_position(args.positions, game), rows.row());
        settle(next, rows.row(), [&] { return load_position(args.positions, game); });
    }
    rows.flush(args.mask, args.games);
}

}  // namespace

void legal_mask_cuda(const LegalMaskArgs& args, void* stream) {
    if (args.games == 0) return;
    legal_mask_kernel<<<blocks_for(args.games, kThreads), kThreads, 0,
                        static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("legal_mask_kernel");
}

}  // namespace keisei::batch
