#include "batch/game_warp.cuh"
#include "batch/step.h"
#include "batch/step_game.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;
constexpr int kThreadsAnSm = 512;  // 128 registers each

__device__ void fold_error(int64_t* cell, int64_t code) {
    if (code != kNoError) {
        atomicMin(reinterpret_cast<long long*>(cell), static_cast<long long>(code));
    }
}

__global__ void __launch_bounds__(kThreads, kThreadsAnSm / kThreads)
    step_kernel(const StepArgs args) {
    __shared__ GameRows<kThreads> rows;
    const State& state = args.state;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads;
    const int64_t game = first + threadIdx.x;
    uint32_t* const row = rows.row();
    bool begins = false;
    int32_t clock = 0;
    if (game < state.games) {
        // Everything that may be needed is asked for at once; only the mask has to wait for the
        // label.
        const int64_t label = args.actions[game];
        const PositionsView positions{state.positions, 1, state.games};
        shogi::Position position = load_position(positions, game);
        clock = state.progress_of(CLOCK, game);
        const int32_t ply = state.progress_of(PLY, game);
        const auto runs = static_cast<uint32_t>(state.progress_of(CHECK_RUNS, game));
        begins = state.progress_of(PENDING, game) != 0;
        if (!begins && is_allowed(state.mask_row(game), label)) {
            const Moved moved =
                make_move(state, game, clock, ply, runs, static_cast<int>(label), position);
            store_position(state.positions, 1, state.games, game, position);
            const NextMoves next = next_moves(position, row);
            settle(next, row, [&] { return load_position(positions, game); });
            const Judged judged = judge_move(state, game, moved, next, row);
            write_result(args, game, moved, judged);
            clock = moved.clock;
            begins = judged.begins_anew();
            if (!begins) {
                state.positions[kFirstHandWord * state.games + game] =
                    static_cast<int32_t>(judged.hand);
                store_progress(state, game, moved, judged);
            }
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
    __syncwarp();
    rows.begin_games(state, begins, clock, [&](int thread, int w, int32_t value) {
        state.positions[w * state.games + first + thread] = value;
    });
    rows.flush(state.mask, state.games);
}

__global__ void __launch_bounds__(kThreads) check_actions_kernel(const StepArgs args) {
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    if (game >= args.state.games || args.state.progress_of(PENDING, game) != 0) return;
    const int64_t label = args.actions[game];
    if (!is_allowed(args.state.mask_row(game), label)) {
        fold_error(args.error, error_code(game, label));
    }
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
    check_actions_kernel<<<blocks_for(args.state.games, kThreads), kThreads, 0, on>>>(args);
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
    step_kernel<<<blocks_for(args.state.games, kThreads), kThreads, 0,
                  static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("step_kernel");
}

}  // namespace keisei::batch
