#include "batch/game_warp.cuh"
#include "batch/step.h"
#include "batch/step_game.h"

namespace keisei::batch {
namespace {

constexpr int kThreadsAnSm = 512;  // 128 registers each

template <int kThreads>
struct Shared {
    GameRows<kThreads> rows;
    DropQueue drops[kThreads / kLanes];
};

__device__ void fold_error(int64_t* cell, int64_t code) {
    if (code != kNoError) {
        atomicMin(reinterpret_cast<long long*>(cell), static_cast<long long>(code));
    }
}

// Whether the doubtful drop decides if the game goes on: there is no other legal move.
__device__ bool is_urgent(const NextMoves& next, const uint32_t* row) {
    const uint32_t* const pawns = row + 3 * shogi::kDropPlane;
    return !next.any && __popc(pawns[0]) + __popc(pawns[1]) + __popc(pawns[2]) == 1;
}

template <int kThreads>
__global__ void __launch_bounds__(kThreads, kThreadsAnSm / kThreads)
    step_kernel(const StepArgs args) {
    extern __shared__ __align__(16) unsigned char bytes[];
    auto& shared = *reinterpret_cast<Shared<kThreads>*>(bytes);
    const State& state = args.state;
    const PositionsView positions{state.positions, 1, state.games};
    DropQueue& queue = shared.drops[threadIdx.x / kLanes];
    uint32_t* const row = shared.rows.row();
    int put = 0;
    const auto settle_all = [&] { settle_drops(queue, put, positions, state.mask); };
    const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
    for (int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads; first < state.games;
         first += stride) {
        const int64_t game = first + threadIdx.x;
        bool begins = false;
        bool moves = false;
        int32_t clock = 0;
        int doubtful = -1;
        Moved moved;
        shogi::Position position;
        if (game < state.games) {
            // Everything that may be needed is asked for at once; only the mask has to wait for
            // the label.
            const int64_t label = args.actions[game];
            position = load_position(positions, game);
            clock = state.progress_of(CLOCK, game);
            const int32_t ply = state.progress_of(PLY, game);
            const auto runs = static_cast<uint32_t>(state.progress_of(CHECK_RUNS, game));
            begins = state.progress_of(PENDING, game) != 0;
            moves = !begins && is_allowed(state.mask_row(game), label);
            if (moves) {
                moved = make_move(state, game, clock, ply, runs, static_cast<int>(label), position);
                store_position(state.positions, 1, state.games, game, position);
            } else {
                write_idle(args, game);
                if (begins) {
                    clock = state.next_clock(clock);
                } else {
                    fold_error(args.error, error_code(game, label));
#pragma unroll 1
                    for (int w = 0; w < kMaskWords; ++w) row[w] = state.mask_row(game)[w];
                }
            }
        }
        __syncthreads();  // warps that go through the code together fetch it once
        if (moves) {
            NextMoves next = next_moves(position, row);
            doubtful = next.generated.doubtful_drop;
            if (doubtful >= 0 && is_urgent(next, row)) {
                settle(next, row, [&] { return load_position(positions, game); });
                doubtful = -1;
            }
            const Judged judged = judge_move(state, game, moved, next, row);
            write_result(args, game, moved, judged);
            clock = moved.clock;
            begins = judged.begins_anew();
            if (!begins) {
                state.positions[kFirstHandWord * state.games + game] =
                    static_cast<int32_t>(judged.hand);
                store_progress(state, game, moved, judged);
            }
        }
        __syncwarp();
        shared.rows.begin_games(state, first, begins, clock, [&](int thread, int w, int32_t value) {
            state.positions[w * state.games + first + thread] = value;
        });
        shared.rows.flush(state.mask, first, state.games);
        put_off(queue, put, game, begins ? -1 : doubtful, settle_all);
    }
    settle_all();
}

constexpr int kCheckThreads = 128;

__global__ void __launch_bounds__(kCheckThreads) check_actions_kernel(const StepArgs args) {
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kCheckThreads + threadIdx.x;
    if (game >= args.state.games || args.state.progress_of(PENDING, game) != 0) return;
    const int64_t label = args.actions[game];
    if (!is_allowed(args.state.mask_row(game), label)) {
        fold_error(args.error, error_code(game, label));
    }
}

template <int kThreads>
void launch(const StepArgs& args, cudaStream_t stream) {
    const unsigned resident =
        resident_blocks<step_kernel<kThreads>>(kThreads, sizeof(Shared<kThreads>));
    step_kernel<kThreads><<<std::min(blocks_for(args.state.games, kThreads), resident), kThreads,
                            sizeof(Shared<kThreads>), stream>>>(args);
    check_launch("step_kernel");
}

}  // namespace

int64_t first_illegal_cuda(const StepArgs& args, void* stream) {
    if (args.state.games == 0) return kNoError;
    const auto on = static_cast<cudaStream_t>(stream);
    const auto copy_error = [&](int64_t* to, const int64_t* from, cudaMemcpyKind kind) {
        check_cuda(cudaMemcpyAsync(to, from, sizeof(int64_t), kind, on), "check_actions: copy");
        check_cuda(cudaStreamSynchronize(on), "check_actions: synchronize");
    };
    int64_t code = kNoError;
    copy_error(args.error, &code, cudaMemcpyHostToDevice);
    check_actions_kernel<<<blocks_for(args.state.games, kCheckThreads), kCheckThreads, 0, on>>>(
        args);
    check_launch("check_actions_kernel");
    copy_error(&code, args.error, cudaMemcpyDeviceToHost);
    if (code != kNoError) {
        const int64_t none = kNoError;
        copy_error(args.error, &none, cudaMemcpyHostToDevice);
    }
    return code;
}

void step_cuda(const StepArgs& args, void* stream) {
    if (args.state.games == 0) return;
    const auto on = static_cast<cudaStream_t>(stream);
    args.state.games <= kFewGames ? launch<128>(args, on) : launch<256>(args, on);
}

}  // namespace keisei::batch
