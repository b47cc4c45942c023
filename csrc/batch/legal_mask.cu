#include "batch/game_block.cuh"
#include "batch/legal_mask.h"
#include "batch/step_game.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;
constexpr int kThreadsAnSm = 512;  // 128 registers each

__global__ void __launch_bounds__(kThreads, kThreadsAnSm / kThreads)
    legal_mask_kernel(const LegalMaskArgs args) {
    __shared__ GameBlock<kThreads> block;
    block.begin();
    const int64_t first = block.first();
    const int64_t game = first + threadIdx.x;
    int doubtful = -1;
    if (game < args.games) {
        doubtful =
            next_moves(load_position(args.positions, game), block.row()).generated.doubtful_drop;
    }
    block.settle(
        0, doubtful, [&](int thread) { return load_position(args.positions, first + thread); },
        [&](int thread, int square) { forbid_pawn_drop(block.row(thread), square); });
    block.flush(args.mask, args.games);
}

}  // namespace

void legal_mask_cuda(const LegalMaskArgs& args, void* stream) {
    if (args.games == 0) return;
    legal_mask_kernel<<<blocks_for(args.games, kThreads), kThreads, 0,
                        static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("legal_mask_kernel");
}

}  // namespace keisei::batch
