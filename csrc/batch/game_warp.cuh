// A warp with a game a lane: their mask rows in shared memory, read and written together, the games
// that it begins anew together, what it asks of their histories, and the doubtful pawn drops that
// its block puts off.
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // in CUDA's own header
#include <cuda_pipeline.h>
#pragma GCC diagnostic pop

#include "batch/launch.h"
#include "batch/state.h"
#include "shogi/legal.h"

namespace keisei::batch {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kLanes = 32;
// Up to so many games every multiprocessor needs no more than two blocks at once, which then have
// all its registers: warps go on alone, and nothing else is to be had from more of them.
constexpr int64_t kFewGames = 32 * 1024;
constexpr int kFewThreads = 128;
constexpr int kFewBlocks = 2;

__device__ inline int lane_index() {
    return static_cast<int>(threadIdx.x) % kLanes;
}

// Mask rows of a block's games, `first` being the game of its first thread. All lanes of a warp
// call each function together; no warp waits for another.
template <int kThreads>
struct alignas(16) GameRows {
    uint32_t words[kThreads * kMaskWords];  // an odd stride: no bank conflicts

    __device__ uint32_t* row(int thread) { return words + thread * kMaskWords; }
    __device__ uint32_t* row() { return row(static_cast<int>(threadIdx.x)); }

    // The warp's rows from and to [games, 81], where they are contiguous too.
    __device__ void load(const int32_t* mask, int64_t first, int64_t games) {
        copy(row(warp_first()),
             reinterpret_cast<const uint32_t*>(mask) + (first + warp_first()) * kMaskWords,
             used(first, games));
        __syncwarp();
    }
    __device__ void flush(int32_t* mask, int64_t first, int64_t games) {
        __syncwarp();
        copy(reinterpret_cast<uint32_t*>(mask) + (first + warp_first()) * kMaskWords,
             row(warp_first()), used(first, games));
        __syncwarp();
    }

    // The same as flush, but where there is a copy engine it works on while the warp goes its way,
    // which waits for `wait_read` before it writes into rows again and before it ends, and for
    // `wait_written` before anybody looks at the masks.
    __device__ void begin_flush(int32_t* mask, int64_t first, int64_t games) {
#if __CUDA_ARCH__ >= 900
        int32_t* const to = mask + (first + warp_first()) * kMaskWords;
        const auto bytes = used(first, games) * static_cast<int>(sizeof(uint32_t));
        if (((reinterpret_cast<uintptr_t>(to) | static_cast<unsigned>(bytes)) & 15) == 0) {
            asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
            __syncwarp();
            if (lane_index() == 0 && bytes > 0) {
                asm volatile(
                    "cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(
                        __cvta_generic_to_global(to)),
                    "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row(warp_first())))),
                    "r"(bytes)
                    : "memory");
                asm volatile("cp.async.bulk.commit_group;" ::: "memory");
            }
            return;
        }
#endif
        flush(mask, first, games);
    }
    __device__ void wait_read() {
#if __CUDA_ARCH__ >= 900
        if (lane_index() == 0) asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
#endif
        __syncwarp();
    }
    __device__ void wait_written() {
#if __CUDA_ARCH__ >= 900
        if (lane_index() == 0) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
#endif
        __syncwarp();
    }

    // Begins a new game in the slots of those lanes that say so. `put_word(thread, w, value)` takes
    // word w of a start position.
    template <typename PutWord>
    __device__ void begin_games(const State& state, int64_t first, bool begins, int32_t clock,
                                PutWord&& put_word) {
        unsigned which = __ballot_sync(kAllLanes, begins);
        if (which == 0) return;
        if (begins) {
            const int64_t game = first + threadIdx.x;
            begin_progress(state, game, clock,
                           load_position({state.start_of(game), kStartWords, 1}, 0));
        }
        __syncwarp();
        for (; which != 0; which &= which - 1) {
            const int thread = warp_first() + __ffs(static_cast<int>(which)) - 1;
            const int32_t* const start = state.start_of(first + thread);
            // All words are asked for before the first is needed.
            constexpr int kEach = (kStartWords + kLanes - 1) / kLanes;
            int32_t word[kEach];
#pragma unroll
            for (int i = 0; i < kEach; ++i) {
                const int w = lane_index() + i * kLanes;
                word[i] = w < kStartWords ? start[w] : 0;
            }
#pragma unroll
            for (int i = 0; i < kEach; ++i) {
                const int w = lane_index() + i * kLanes;
                if (w < kPositionWords) {
                    put_word(thread, w, word[i]);
                } else if (w < kStartWords) {
                    row(thread)[w - kPositionWords] = static_cast<uint32_t>(word[i]);
                }
            }
        }
        __syncwarp();
    }

 private:
    static __device__ int warp_first() { return static_cast<int>(threadIdx.x) - lane_index(); }
    static __device__ int used(int64_t first, int64_t games) {
        const int64_t left = games - first - warp_first();
        return static_cast<int>(left < 0 ? 0 : left < kLanes ? left : kLanes) * kMaskWords;
    }
    static __device__ void copy(uint32_t* to, const uint32_t* from, int count) {
        constexpr int kWide = 4;
        int copied = 0;
        if (((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) & 15) == 0) {
            const int chunks = count / kWide;
            for (int i = lane_index(); i < chunks; i += kLanes) {
                reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
            }
            copied = chunks * kWide;
        }
        for (int i = copied + lane_index(); i < count; i += kLanes) to[i] = from[i];
    }
};

// Words that each thread fetches for its next game while it still works on this one.
template <int kThreads, int kWords>
struct Fetched {
    uint32_t words[kWords][kThreads];

    // fetch(put) calls put(i, pointer) for each word.
    template <typename Fetch>
    __device__ void begin(Fetch&& fetch) {
        fetch([&](int i, const void* from) {
            __pipeline_memcpy_async(&words[i][threadIdx.x], from, sizeof(uint32_t));
        });
        __pipeline_commit();
    }
    __device__ void wait() const { __pipeline_wait_prior(0); }
    __device__ uint32_t operator[](int i) const { return words[i][threadIdx.x]; }
};

// What the histories of a block's games say of their new positions, asked for while the moves of
// these are made: first the key's bucket, half way the row that the bucket names.
template <int kThreads>
struct Lookback {
    uint64_t keys[kThreads];
    uint64_t entries[kThreads];
    uint32_t buckets[kThreads];

    __device__ void ask(const State& state, int64_t game, uint64_t key) {
        keys[threadIdx.x] = key;
        // Copies have four bytes at least: the bucket with its neighbour.
        const auto at = reinterpret_cast<uintptr_t>(&bucket_of(state, game, key));
        __pipeline_memcpy_async(&buckets[threadIdx.x],
                                reinterpret_cast<const uint32_t*>(at & ~uintptr_t{3}),
                                sizeof(uint32_t));
        __pipeline_commit();
    }
    __device__ void ask_on(const State& state, int64_t game) {
        __pipeline_wait_prior(0);
        const int32_t first = newest(state, game);
        fetch_row(state, game, first < state.rows() ? first : 0);
        __pipeline_commit();
    }
    // The same where memory is what bounds: a row that is not of this game is left alone.
    __device__ void ask_on(const State& state, int64_t game, int32_t clock, int32_t ply) {
        __pipeline_wait_prior(0);
        const int32_t first = newest(state, game);
        const int32_t age = state.age_of(first, clock % state.rows());
        if (age > 0 && age <= ply) fetch_row(state, game, first);
        __pipeline_commit();
    }
    __device__ Recurrence record(const State& state, int64_t game, int32_t clock, int32_t ply) {
        __pipeline_wait_prior(0);
        return record_key(state, game, clock, ply, keys[threadIdx.x], newest(state, game),
                          entries[threadIdx.x]);
    }

 private:
    __device__ void fetch_row(const State& state, int64_t game, int32_t row) {
        __pipeline_memcpy_async(&entries[threadIdx.x], &state.history_at(row, game),
                                sizeof(uint64_t));
    }
    __device__ int32_t newest(const State& state, int64_t game) const {
        const auto at = reinterpret_cast<uintptr_t>(&bucket_of(state, game, keys[threadIdx.x]));
        return static_cast<uint16_t>(buckets[threadIdx.x] >> ((at & 2) * 8));
    }
};

// Whether a doubtful pawn drop mates in a position. A function of its own that loads the position
// itself: so nothing is passed through memory, and its registers are not wanted all the time.
__device__ __noinline__ inline bool drop_mates(PositionsView positions, int64_t game, int square) {
    return shogi::pawn_drop_mates(load_position(positions, game), square);
}

// Takes a doubtful pawn drop out of the masks [games, 81] if it mates: in the second-level cache,
// where the copy engine has put them.
__device__ inline void settle_drop(const PositionsView& positions, int32_t* mask, int64_t game,
                                   int square) {
    if (!drop_mates(positions, game, square)) return;
    const int w = square / shogi::kWordBits;
    atomicAnd(mask + game * kMaskWords + 3 * shogi::kDropPlane + w,
              ~(1 << (square - w * shogi::kWordBits)));
}

// Which games a block that stays takes, one a thread, round by round.
template <int kThreads>
struct Rounds {
    __device__ static int64_t stride() { return static_cast<int64_t>(gridDim.x) * kThreads; }
    __device__ static int64_t first(int round) {
        return static_cast<int64_t>(blockIdx.x) * kThreads + round * stride();
    }
};

// A block's doubtful pawn drops, whose masks are written already. Of two hundred games one has one,
// and a test takes a third as long as all else: put off until the block has no more games, a warp
// makes many tests at once.
template <int kThreads>
struct DropQueue {
    static constexpr int kMost = kThreads / 2;
    static constexpr int kSquareBits = 7;

    uint32_t entries[kMost];  // (round, thread, square)
    int count;

    // By all threads of the block, once.
    __device__ void init() {
        if (threadIdx.x == 0) count = 0;
        __syncthreads();
    }
    // By all lanes of a warp: a drop on `square` (-1: none) is added for each lane. Returns whether
    // there was room; where not, it has to be settled at once.
    __device__ bool put_off(int round, int square) {
        const unsigned which = __ballot_sync(kAllLanes, square >= 0);
        if (which == 0) return true;
        int place = 0;
        if (lane_index() == 0) place = atomicAdd(&count, __popc(which));
        place = __shfl_sync(kAllLanes, place, 0) + __popc(which & ((1u << lane_index()) - 1));
        const bool fits = place < kMost;
        if (square >= 0 && fits) {
            entries[place] =
                ((static_cast<uint32_t>(round) * kThreads + threadIdx.x) << kSquareBits) |
                static_cast<uint32_t>(square);
        }
        return square < 0 || fits;
    }
    __device__ void settle(const PositionsView& positions, int32_t* mask) const {
        __syncthreads();
        if (static_cast<int>(threadIdx.x) >= min(count, kMost)) return;
        const uint32_t entry = entries[threadIdx.x];
        const uint32_t item = entry >> kSquareBits;
        settle_drop(positions, mask,
                    Rounds<kThreads>::first(static_cast<int>(item / kThreads)) + item % kThreads,
                    static_cast<int>(entry & ((1u << kSquareBits) - 1)));
    }
};

// Blocks for many games that stay and take the next games: as many as there is room for, and so
// many that hardly any queue of doubtful drops overflows.
template <auto* kKernel>
unsigned staying_blocks(int64_t games, int threads, size_t shared) {
    constexpr int kRounds = 64;
    const unsigned all = blocks_for(games, threads);
    return std::min(all, std::max(resident_blocks<kKernel>(threads, shared), all / kRounds));
}

}  // namespace keisei::batch
