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
    bool stays;  // as it is, with its mask
    int32_t clock;
};

// Plays the labels, `word` being the mask's word with a label's bit.
template <int kThreads>
__device__ Half first_half(const StepArgs& args, int64_t game, const Before& before, uint32_t word,
                           shogi::Position& position, Lookback<kThreads>& lookback) {
    const State& state = args.state;
    Half half{};
    half.clock = before.clock;
    if (game >= state.games) return half;
    half.begins = before.pending != 0;
    const bool is_label = before.label >= 0 && before.label < shogi::kLabels;
    const int label = is_label ? static_cast<int>(before.label) : 0;
    half.moves = !half.begins && is_label && ((word >> (label % shogi::kWordBits)) & 1u) != 0;
    if (half.moves) {
        position = shogi::apply(position, label);
        half.moved = after_move(state, before.clock, before.ply, static_cast<uint32_t>(before.runs),
                                position);
        lookback.ask(state, game, half.moved.key);
        store_position(state.positions, 1, state.games, game, position);
        return half;
    }
    write_idle(args, game);
    if (half.begins) {
        half.clock = state.next_clock(before.clock);
    } else {
        fold_error(args.error, error_code(game, before.label));
        half.stays = true;
    }
    return half;
}

// Which word of a mask tells of a label; of no label, some word.
__device__ int word_of(int64_t label) {
    return label >= 0 && label < shogi::kLabels ? static_cast<int>(label) / shogi::kWordBits : 0;
}

// Makes the legal moves of the new positions, judges, begins new games, writes the masks. Returns
// the square of a doubtful pawn drop that is left in a mask, or -1: such a drop is settled only
// where it decides whether the game goes on, or if the caller says so.
template <int kThreads>
__device__ int second_half(const StepArgs& args, int64_t first, Half half,
                           const shogi::Position& position, GameRows<kThreads>& rows,
                           Lookback<kThreads>& lookback, bool settle_all) {
    const State& state = args.state;
    const int64_t game = first + threadIdx.x;
    uint32_t* const row = rows.row();
    NextMoves next{{false, -1}, false};
    bool alone = false;
    rows.wait_read();
    if (half.stays) {
#pragma unroll 1
        for (int w = 0; w < kMaskWords; ++w) row[w] = state.mask_row(game)[w];
    }
    if (half.moves) {
        next = next_moves(position, row, [&](int plane, const shogi::Bitboard&) {
            if (plane == shogi::kPromotionPlane)
                lookback.ask_on(state, game, half.moved.clock, half.moved.ply);
        });
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
        const Recurrence seen = lookback.record(state, game, half.moved.clock, half.moved.ply);
        const Judged judged = judge_move(state, half.moved, next, row, seen);
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
    rows.begin_flush(state.mask, first, state.games);
    return half.begins ? -1 : doubtful;
}

__global__ void __launch_bounds__(kFewThreads, kFewBlocks) step_few_kernel(const StepArgs args) {
    __shared__ GameRows<kFewThreads> rows;
    __shared__ Lookback<kFewThreads> lookback;
    const State& state = args.state;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kFewThreads;
    const int64_t game = first + threadIdx.x;
    const int64_t inside = game < state.games ? game : first;
    shogi::Position position = load_position({state.positions, 1, state.games}, inside);
    const Before before{args.actions[inside], state.progress_of(PLY, inside),
                        state.progress_of(CLOCK, inside), state.progress_of(CHECK_RUNS, inside),
                        state.progress_of(PENDING, inside)};
    const uint32_t word = state.mask_row(inside)[word_of(before.label)];
    const Half half = first_half(args, game, before, word, position, lookback);
    second_half(args, first, half, position, rows, lookback, true);
    rows.wait_read();
}

// Many games: blocks stay and take the next games, fetched meanwhile; the warps of a block go
// through the code together, since fetching it is what takes longest else.
constexpr int kManyThreads = 128;
// What is fetched of a game: its position, its progress, its label, then the mask's word of that
// and, so that this can be fetched in time, the low half of the label of the game after the next.
constexpr int kLabelAt = kPositionWords + kProgressRows;
constexpr int kWordAt = kLabelAt + 2;
constexpr int kAheadAt = kWordAt + 1;
constexpr int kBeforeWords = kAheadAt + 1;

struct Shared {
    GameRows<kManyThreads> rows;
    Fetched<kManyThreads, kBeforeWords> fetched;
    Lookback<kManyThreads> lookback;
    DropQueue<kManyThreads> drops;
};

__global__ void __launch_bounds__(kManyThreads, kThreadsAnSm / kManyThreads)
    step_many_kernel(const StepArgs args) {
    extern __shared__ __align__(16) unsigned char bytes[];
    auto& shared = *reinterpret_cast<Shared*>(bytes);
    const State& state = args.state;
    const PositionsView positions{state.positions, 1, state.games};
    shared.drops.init();
    const int64_t stride = Rounds<kManyThreads>::stride();
    const auto fetch = [&](int64_t game, int32_t low_label) {
        if (game >= state.games) return;
        shared.fetched.begin([&](auto&& word) {
            for (int w = 0; w < kPositionWords; ++w) {
                word(w, state.positions + w * state.games + game);
            }
            for (int r = 0; r < kProgressRows; ++r) {
                word(kPositionWords + r, state.progress + r * state.games + game);
            }
            const auto* const label = reinterpret_cast<const uint32_t*>(args.actions + game);
            word(kLabelAt, label);
            word(kLabelAt + 1, label + 1);
            word(kWordAt, state.mask_row(game) + word_of(low_label));
            if (game + stride < state.games) word(kAheadAt, args.actions + game + stride);
        });
    };
    const auto progress = [&](int row) {
        return static_cast<int32_t>(shared.fetched[kPositionWords + row]);
    };
    const int64_t mine = Rounds<kManyThreads>::first(0) + threadIdx.x;
    fetch(mine, mine < state.games ? static_cast<int32_t>(args.actions[mine]) : 0);
    for (int round = 0;; ++round) {
        const int64_t first = Rounds<kManyThreads>::first(round);
        if (first >= state.games) break;
        const int64_t game = first + threadIdx.x;
        __syncthreads();
        shared.fetched.wait();
        shogi::Position position =
            shogi::position_of_words([&](int w) { return shared.fetched[w]; });
        const auto low = shared.fetched[kLabelAt];
        const auto high = shared.fetched[kLabelAt + 1];
        const uint32_t word = shared.fetched[kWordAt];
        const Before before{static_cast<int64_t>(low | (static_cast<uint64_t>(high) << 32)),
                            progress(PLY), progress(CLOCK), progress(CHECK_RUNS),
                            progress(PENDING)};
        fetch(game + stride, static_cast<int32_t>(shared.fetched[kAheadAt]));
        const Half half = first_half(args, game, before, word, position, shared.lookback);
        __syncthreads();
        const int doubtful =
            second_half(args, first, half, position, shared.rows, shared.lookback, false);
        const bool put_off = shared.drops.put_off(round, doubtful);
        if (__all_sync(kAllLanes, put_off)) continue;
        shared.rows.wait_written();
        if (!put_off) settle_drop(positions, state.mask, game, doubtful);
    }
    shared.rows.wait_written();
    shared.drops.settle(positions, state.mask);
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
            staying_blocks<step_many_kernel>(games, kManyThreads, sizeof(Shared));
        step_many_kernel<<<blocks, kManyThreads, sizeof(Shared), on>>>(args);
        check_launch("step_many_kernel");
    }
}

}  // namespace keisei::batch
