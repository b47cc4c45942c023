#include "batch/game_warp.cuh"
#include "batch/random_play.h"
#include "batch/step_game.h"
#include "batch/uniform_sample.h"

namespace keisei::batch {
namespace {

constexpr int kThreadsAnSm = 512;  // 128 registers each

// Planes are counted in groups, so that a choice looks at nine sums and then at nine words.
constexpr int kGroups = 9;
constexpr int kWordsPerGroup = kMaskWords / kGroups;
constexpr int kPlanesPerGroup = shogi::kPlanes / kGroups;

template <int kThreads>
struct PlayBlock {
    GameRows<kThreads> rows;
    int32_t positions[kPositionWords][kThreads];
    Lookback<kThreads> lookback;
    uint16_t up_to[kGroups][kThreads];  // legal labels in the groups up to and with this one
    int tally[kTallyCells];
};

template <int kThreads>
__device__ void count_groups(PlayBlock<kThreads>& block) {
    const uint32_t* const row = block.rows.row();
    uint32_t count = 0;
#pragma unroll 1
    for (int g = 0; g < kGroups; ++g) {
        for (int i = 0; i < kWordsPerGroup; ++i)
            count += __popc(mask_word(row, g * kWordsPerGroup + i));
        block.up_to[g][threadIdx.x] = static_cast<uint16_t>(count);
    }
}

// The legal label that has k legal ones below it.
template <int kThreads>
__device__ int nth_label(const PlayBlock<kThreads>& block, const uint32_t* row, uint32_t k) {
    int group = 0;
    uint32_t below = 0;
#pragma unroll
    for (int g = 0; g < kGroups - 1; ++g) {
        const uint32_t up_to = block.up_to[g][threadIdx.x];
        if (k >= up_to) {
            group = g + 1;
            below = up_to;
        }
    }
    k -= below;
    const uint32_t* const words = row + group * kWordsPerGroup;
    uint32_t bits = 0;
    int index = 0;
    bool found = false;
#pragma unroll
    for (int i = 0; i < kWordsPerGroup; ++i) {
        const uint32_t word = words[i];
        const auto here = static_cast<uint32_t>(__popc(word));
        if (!found) {
            found = k < here;
            bits = word;
            index = i;
            if (!found) k -= here;
        }
    }
    return (group * kWordsPerGroup + index) * shogi::kWordBits + nth_set_bit(bits, k);
}

template <int kThreads>
__global__ void __launch_bounds__(kThreads,
                                  kThreads == kFewThreads ? kFewBlocks : kThreadsAnSm / kThreads)
    random_play_kernel(const RandomPlayArgs args) {
    extern __shared__ __align__(16) unsigned char shared[];
    auto& block = *reinterpret_cast<PlayBlock<kThreads>*>(shared);
    const State& state = args.state;
    const int thread = static_cast<int>(threadIdx.x);
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads;
    const int64_t game = first + thread;
    const bool inside = game < state.games;
    uint32_t* const row = block.rows.row();
    int32_t* const staged = &block.positions[0][0];
    const PositionsView stage{staged, 1, kThreads};

    if (thread < kTallyCells) block.tally[thread] = 0;
    __syncthreads();
    block.rows.load(state.mask, first, state.games);
    int32_t clock = 0, ply = 0;
    uint32_t runs = 0;
    bool pending = false;
    if (inside) {
        clock = state.progress_of(CLOCK, game);
        ply = state.progress_of(PLY, game);
        runs = static_cast<uint32_t>(state.progress_of(CHECK_RUNS, game));
        pending = state.progress_of(PENDING, game) != 0;
        store_position(staged, 1, kThreads, thread,
                       load_position({state.positions, 1, state.games}, game));
        count_groups(block);
    }

    int moves = 0;
#pragma unroll 1
    for (int32_t round = 0; round < args.plies; ++round) {
        bool begins = pending;
        // A position without a legal move, which no game of ours is left in, stays as it is.
        const uint32_t count = inside ? block.up_to[kGroups - 1][thread] : 0;
        const bool plays = !pending && count > 0;
        if (pending) clock = state.next_clock(clock);
        pending = false;
        bool may_declare = false;
        NextMoves next{{false, -1}, false};
        if (plays) {
            const int label = nth_label(
                block, row, uniform_choice(args.seed, state.first_game + game, clock, count));
            const shogi::Position position = shogi::apply(load_position(stage, thread), label);
            const Moved moved = after_move(state, clock, ply, runs, position);
            may_declare = moved.may_declare;
            block.lookback.ask(state, game, moved.key);
            store_position(staged, 1, kThreads, thread, position);
        }
        __syncthreads();  // warps that go through the code together fetch it once
        if (plays) {
            uint32_t total = 0;
            next = next_moves(
                load_position(stage, thread), row, [&](int plane, const shogi::Bitboard& to) {
                    total += static_cast<uint32_t>(to.count());
                    if (plane % kPlanesPerGroup == kPlanesPerGroup - 1) {
                        block.up_to[plane / kPlanesPerGroup][thread] = static_cast<uint16_t>(total);
                    }
                    if (plane == shogi::kPromotionPlane) block.lookback.ask_on(state, game);
                });
        }
        const int doubtful = next.generated.doubtful_drop;
        __syncwarp();
        if (doubtful >= 0 && drop_mates(stage, thread, doubtful)) {
            forbid_pawn_drop(row, doubtful);
            for (int g = shogi::kDropPlane / kPlanesPerGroup; g < kGroups; ++g) {
                --block.up_to[g][thread];
            }
        }
        if (plays) {
            // What can be known again was not kept while moves were made.
            clock = state.next_clock(clock);
            ++ply;
            Moved moved{};
            moved.ply = ply;
            moved.runs = runs;
            moved.hand = static_cast<uint32_t>(block.positions[kFirstHandWord][thread]);
            moved.may_declare = may_declare;
            const Recurrence seen = block.lookback.record(state, game, clock, ply);
            const Judged judged = judge_move(state, moved, next, row, seen);
            block.positions[kFirstHandWord][thread] = static_cast<int32_t>(judged.hand);
            ++moves;
            if (judged.over()) {
                atomicAdd(&block.tally[static_cast<int>(judged.verdict.ending)], 1);
            }
            begins = judged.begins_anew();
            pending = judged.truncated();
            runs = judged.runs;
        }
        __syncwarp();
        block.rows.begin_games(state, first, begins, clock, [&](int of, int w, int32_t value) {
            block.positions[w][of] = value;
        });
        if (begins) {
            ply = 0;
            runs = 0;
            count_groups(block);
        }
    }

    if (inside) {
        store_position(state.positions, 1, state.games, game, load_position(stage, thread));
        state.progress_of(PLY, game) = ply;
        state.progress_of(CLOCK, game) = clock;
        state.progress_of(CHECK_RUNS, game) = static_cast<int32_t>(runs);
        state.progress_of(PENDING, game) = pending ? 1 : 0;
    }
    block.rows.flush(state.mask, first, state.games);
    atomicAdd(&block.tally[0], moves);
    __syncthreads();
    if (thread < kTallyCells && block.tally[thread] != 0) {
        atomicAdd(reinterpret_cast<unsigned long long*>(args.tally + thread),
                  static_cast<unsigned long long>(block.tally[thread]));
    }
}

template <int kThreads>
void launch(const RandomPlayArgs& args, cudaStream_t stream) {
    resident_blocks<random_play_kernel<kThreads>>(kThreads, sizeof(PlayBlock<kThreads>));
    random_play_kernel<kThreads>
        <<<blocks_for(args.state.games, kThreads), kThreads, sizeof(PlayBlock<kThreads>), stream>>>(
            args);
    check_launch("random_play_kernel");
}

}  // namespace

void random_play_cuda(const RandomPlayArgs& args, void* stream) {
    if (args.state.games == 0 || args.plies == 0) return;
    const auto on = static_cast<cudaStream_t>(stream);
    constexpr int kManyThreads = 256;
    const bool many = args.state.games > kFewGames && fits_a_block(sizeof(PlayBlock<kManyThreads>));
    many ? launch<kManyThreads>(args, on) : launch<kFewThreads>(args, on);
}

}  // namespace keisei::batch
