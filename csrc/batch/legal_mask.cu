#include "batch/game_warp.cuh"
#include "batch/legal_mask.h"
#include "batch/step_game.h"

namespace keisei::batch {
namespace {

constexpr int kThreadsAnSm = 512;  // 128 registers each

template <int kThreads>
struct Shared {
    GameRows<kThreads> rows;
    DropQueue drops[kThreads / kLanes];
};

template <int kThreads>
__global__ void __launch_bounds__(kThreads, kThreadsAnSm / kThreads)
    legal_mask_kernel(const LegalMaskArgs args) {
    extern __shared__ __align__(16) unsigned char bytes[];
    auto& shared = *reinterpret_cast<Shared<kThreads>*>(bytes);
    DropQueue& queue = shared.drops[threadIdx.x / kLanes];
    int put = 0;
    const auto settle = [&] { settle_drops(queue, put, args.positions, args.mask); };
    const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
    for (int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads; first < args.games;
         first += stride) {
        const int64_t game = first + threadIdx.x;
        const bool inside = game < args.games;
        const shogi::Position position = load_position(args.positions, inside ? game : first);
        __syncthreads();  // warps that go through the code together fetch it once
        const NextMoves next = next_moves(position, shared.rows.row());
        shared.rows.flush(args.mask, first, args.games);
        put_off(queue, put, game, inside ? next.generated.doubtful_drop : -1, settle);
    }
    settle();
}

template <int kThreads>
void launch(const LegalMaskArgs& args, cudaStream_t stream) {
    const unsigned resident =
        resident_blocks<legal_mask_kernel<kThreads>>(kThreads, sizeof(Shared<kThreads>));
    legal_mask_kernel<kThreads><<<std::min(blocks_for(args.games, kThreads), resident), kThreads,
                                  sizeof(Shared<kThreads>), stream>>>(args);
    check_launch("legal_mask_kernel");
}

}  // namespace

void legal_mask_cuda(const LegalMaskArgs& args, void* stream) {
    if (args.games == 0) return;
    const auto on = static_cast<cudaStream_t>(stream);
    args.games <= kFewGames ? launch<128>(args, on) : launch<256>(args, on);
}

}  // namespace keisei::batch
