#include "batch/game_warp.cuh"
#include "batch/step.h"
#include "batch/step_game.h"

namespace keisei::batch {
namespace {

constexpr int kThreadsAnSm = 384;  // 168 registers each

__device__ void fold_error(int64_t* cell, int64_t code) {
    if (code != kNoError) {
        atomicMin(reinterpret_cast<long long*>(cell), static_cast<long long>(code));
    }
}

// What a step needs of a game before it can begin.
struct Before {
    int64_t label;
    int32_t ply, clock, runs, pending;
};

// One step of the games of a block, `first` being that of its first thread, in two halves. What is
// known between them:
struct Half {
    Moved moved;
    bool moves;
    bool begins;
    int32_t clock;
};

// Plays the labels. A label's mask word, far away in memory, is asked for first and looked at last:
// until then the label counts as legal.
__device__ Half first_half(const StepArgs& args, int64_t game, const Before& before,
                           shogi::Position& position, uint32_t* row) {
    const State& state = args.state;
    Half half{};
    half.clock = before.clock;
    if (game >= state.games) return half;
    half.begins = before.pending != 0;
    const bool is_label = before.label >= 0 && before.label < shogi::kLabels;
    const int label = is_label ? static_cast<int>(before.label) : 0;
    const uint32_t* const mask = state.mask_row(game);
    const uint32_t word = mask[label / shogi::kWordBits];
    half.moved = make_move(state, game, before.clock, before.ply,
                           static_cast<uint32_t>(before.runs), label, position);
    half.moves = !half.begins && is_label && ((word >> (label % shogi::kWordBits)) & 1u) != 0;
    if (half.moves) {
        store_position(state.positions, 1, state.games, game, position);
        return half;
    }
    write_idle(args, game);
    if (half.begins) {
        half.clock = state.next_clock(before.clock);
    } else {
        fold_error(args.error, error_code(game, before.label));
#pragma unroll 1
        for (int w = 0; w < kMaskWords; ++w) row[w] = mask[w];
    }
    return half;
}

// Makes the legal moves of the new positions, judges, begins new games, writes the masks. Returns
// the square of a doubtful pawn drop that is left in a mask, or -1: such a drop is settled only
// where it decides whether the game goes on, or if the caller says so.
template <int kThreads>
__device__ int second_half(const StepArgs& args, int64_t first, Half half,
                           const shogi::Position& position, GameRows<kThreads>& rows,
                           bool settle_all) {
    const State& state = args.state;
    const int64_t game = first + threadIdx.x;
    uint32_t* const row = rows.row();
    NextMoves next{{false, -1}, false};
    bool alone = false;
    if (half.moves) {
        next = next_moves(position, row);
        const uint32_t* const pawns = row + 3 * shogi::kDropPlane;
        alone = !next.any && __popc(pawns[0]) + __popc(pawns[1]) + __popc(pawns[2]) == 1;
    }
    int doubtful = next.generated.doubtful_drop;
    const bool now = settle_all || alone;
    if (now && doubtful >= 0 && drop_mates({state.positions, 1, state.games}, game, doubtful)) {
        forbid_pawn_drop(row, doubtful);
    }
    if (now) doubtful = -1;
    if (half.moves) {
        const Judged judged = judge_move(state, game, half.moved, next, row);
        write_result(args, game, half.moved, judged);
        half.clock = half.moved.clock;
        half.begins = judged.begins_anew();
        if (!half.begins) {
            state.positions[kFirstHandWord * state.games + game] =
                static_cast<int32_t>(judged.hand);
            store_progress(state, game, half.moved, judged);
        }
    }
    __syncwarp();
    rows.begin_games(state, first, half.begins, half.clock, [&](int thread, int w, int32_t value) {
        state.positions[w * state.games + first + thread] = value;
    });
    rows.flush(state.mask, first, state.games);
    return half.begins ? -1 : doubtful;
}

__global__ void __launch_bounds__(kFewThreads, kFewBlocks) step_few_kernel(const StepArgs args) {
    __shared__ GameRows<kFewThreads> rows;
    const State& state = args.state;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kFewThreads;
    const int64_t game = first + threadIdx.x;
    const int64_t inside = game < state.games ? game : first;
    shogi::Position position = load_position({state.positions, 1, state.games}, inside);
    const Before before{args.actions[inside], state.progress_of(PLY, inside),
                        state.progress_of(CLOCK, inside), state.progress_of(CHECK_RUNS, inside),
                        state.progress_of(PENDING, inside)};
    const Half half = first_half(args, game, before, position, rows.row());
    second_half(args, first, half, position, rows, true);
}

// Many games: blocks stay and take the next games, fetched meanwhile; the warps of a block go
// through the code together, since fetching it is what takes longest else.
constexpr int kManyThreads = 128;
constexpr int kBeforeWords = kPositionWords + kProgressRows + 2;

struct Shared {
    GameRows<kManyThreads> rows;
    Fetched<kManyThreads, kBeforeWords> fetched;
    DropQueue drops[kManyThreads / kLanes];
};

__global__ void __launch_bounds__(kManyThreads, kThreadsAnSm / kManyThreads)
    step_many_kernel(const StepArgs args) {
    extern __shared__ __align__(16) unsigned char bytes[];
    auto& shared = *reinterpret_cast<Shared*>(bytes);
    const State& state = args.state;
    DropQueue& queue = shared.drops[threadIdx.x / kLanes];
    int put = 0;
    const auto settle_all = [&] {
        settle_drops(queue, put, {state.positions, 1, state.games}, state.mask);
    };
    const auto fetch = [&](int64_t game) {
        if (game >= state.games) return;
        shared.fetched.begin([&](auto&& word) {
            for (int w = 0; w < kPositionWords; ++w) {
                word(w, state.positions + w * state.games + game);
            }
            for (int r = 0; r < kProgressRows; ++r) {
                word(kPositionWords + r, state.progress + r * state.games + game);
            }
            const auto* const label = reinterpret_cast<const uint32_t*>(args.actions + game);
            word(kPositionWords + kProgressRows, label);
            word(kPositionWords + kProgressRows + 1, label + 1);
        });
    };
    const auto progress = [&](int row) {
        return static_cast<int32_t>(shared.fetched[kPositionWords + row]);
    };
    const int64_t stride = static_cast<int64_t>(gridDim.x) * kManyThreads;
    int64_t first = static_cast<int64_t>(blockIdx.x) * kManyThreads;
    fetch(first + threadIdx.x);
    for (; first < state.games; first += stride) {
        const int64_t game = first + threadIdx.x;
        shared.fetched.wait();
        shogi::Position position =
            shogi::position_of_words([&](int w) { return shared.fetched[w]; });
        const auto low = shared.fetched[kPositionWords + kProgressRows];
        const auto high = shared.fetched[kPositionWords + kProgressRows + 1];
        const Before before{static_cast<int64_t>(low | (static_cast<uint64_t>(high) << 32)),
                            progress(PLY), progress(CLOCK), progress(CHECK_RUNS),
                            progress(PENDING)};
        fetch(game + stride);
        const Half half = first_half(args, game, before, position, shared.rows.row());
        __syncthreads();
        const int doubtful = second_half(args, first, half, position, shared.rows, false);
        put_off(queue, put, game, doubtful, settle_all);
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
    const int64_t games = args.state.games;
    if (games == 0) return;
    const auto on = static_cast<cudaStream_t>(stream);
    if (games <= kFewGames) {
        step_few_kernel<<<blocks_for(games, kFewThreads), kFewThreads, 0, on>>>(args);
        check_launch("step_few_kernel");
    } else {
        const unsigned blocks =
            std::min(blocks_for(games, kManyThreads),
                     resident_blocks<step_many_kernel>(kManyThreads, sizeof(Shared)));
        step_many_kernel<<<blocks, kManyThreads, sizeof(Shared), on>>>(args);
        check_launch("step_many_kernel");
    }
}

}  // namespace keisei::batch
