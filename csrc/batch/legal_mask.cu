#include "batch/game_warp.cuh"
#include "batch/legal_mask.h"
#include "batch/step_game.h"

namespace keisei::batch {
namespace {

constexpr int kThreadsAnSm = 512;  // 128 registers each

__global__ void __launch_bounds__(kFewThreads, kFewBlocks)
    legal_mask_of_few_kernel(const LegalMaskArgs args) {
    __shared__ GameRows<kFewThreads> rows;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kFewThreads;
    const int64_t game = first + threadIdx.x;
    int doubtful = -1;
    if (game < args.games) {
        doubtful =
            next_moves(load_position(args.positions, game), rows.row()).generated.doubtful_drop;
    }
    if (doubtful >= 0 && drop_mates(args.positions, game, doubtful)) {
        forbid_pawn_drop(rows.row(), doubtful);
    }
    rows.begin_flush(args.mask, first, args.games);
    rows.wait_read();
}

// Many games: blocks stay and take the next games, fetched meanwhile; the warps of a block go
// through the code together, since fetching it is what takes longest else.
constexpr int kManyThreads = 128;

struct Shared {
    GameRows<kManyThreads> rows;
    Fetched<kManyThreads, kPositionWords> fetched;
    DropQueue<kManyThreads> drops;
};

__global__ void __launch_bounds__(kManyThreads, kThreadsAnSm / kManyThreads)
    legal_mask_of_many_kernel(const LegalMaskArgs args) {
    extern __shared__ __align__(16) unsigned char bytes[];
    auto& shared = *reinterpret_cast<Shared*>(bytes);
    shared.drops.init();
    const auto fetch = [&](int64_t game) {
        if (game >= args.games) return;
        const int32_t* const at = args.positions.words + game * args.positions.game_stride;
        shared.fetched.begin([&](auto&& word) {
            for (int w = 0; w < kPositionWords; ++w) word(w, at + w * args.positions.word_stride);
        });
    };
    const int64_t stride = Rounds<kManyThreads>::stride();
    fetch(Rounds<kManyThreads>::first(0) + threadIdx.x);
    for (int round = 0;; ++round) {
        const int64_t first = Rounds<kManyThreads>::first(round);
        if (first >= args.games) break;
        const int64_t game = first + threadIdx.x;
        const bool inside = game < args.games;
        shared.fetched.wait();
        const shogi::Position position =
            shogi::position_of_words([&](int w) { return shared.fetched[w]; });
        fetch(game + stride);
        __syncthreads();
        shared.rows.wait_read();
        const NextMoves next = next_moves(position, shared.rows.row());
        shared.rows.begin_flush(args.mask, first, args.games);
        const int doubtful = inside ? next.generated.doubtful_drop : -1;
        const bool put_off = shared.drops.put_off(round, doubtful);
        if (__all_sync(kAllLanes, put_off)) continue;
        shared.rows.wait_written();
        if (!put_off) settle_drop(args.positions, args.mask, game, doubtful);
    }
    shared.rows.wait_written();
    shared.drops.settle(args.positions, args.mask);
}

}  // namespace

void legal_mask_cuda(const LegalMaskArgs& args, void* stream) {
    if (args.games == 0) return;
    const auto on = static_cast<cudaStream_t>(stream);
    if (args.games <= kFewGames) {
        legal_mask_of_few_kernel<<<blocks_for(args.games, kFewThreads), kFewThreads, 0, on>>>(args);
        check_launch("legal_mask_of_few_kernel");
    } else {
        const unsigned blocks =
            staying_blocks<legal_mask_of_many_kernel>(args.games, kManyThreads, sizeof(Shared));
        legal_mask_of_many_kernel<<<blocks, kManyThreads, sizeof(Shared), on>>>(args);
        check_launch("legal_mask_of_many_kernel");
    }
}

}  // namespace keisei::batch
