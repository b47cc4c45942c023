// A warp with a game a lane: their mask rows in shared memory, read and written together, the games
// that it begins anew together, and the doubtful pawn drops that it puts off.
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

// A warp's doubtful pawn drops, whose masks are written already. One game in a hundred has one, and
// a test takes a third as long as all else: put off until many lanes have one, tests cost little.
struct DropQueue {
    int64_t entries[kLanes];  // (game << 7) | square
};

// `count` is how many wait, the same in every lane. A drop on `square` (-1: none) is added for each
// lane; `settle()` empties the queue where it could overflow.
template <typename Settle>
__device__ void put_off(DropQueue& queue, int& count, int64_t game, int square, Settle&& settle) {
    const unsigned which = __ballot_sync(kAllLanes, square >= 0);
    if (which == 0) return;
    if (count + __popc(which) > kLanes) settle();
    if (square >= 0) {
        const unsigned below = which & ((1u << lane_index()) - 1);
        queue.entries[count + __popc(below)] = (game << 7) | square;
    }
    count += __popc(which);
    __syncwarp();
}

// Whether a doubtful pawn drop mates in a position. A function of its own that loads the position
// itself: so nothing is passed through memory, and its registers are not wanted all the time.
__device__ __noinline__ inline bool drop_mates(PositionsView positions, int64_t game, int square) {
    return shogi::pawn_drop_mates(load_position(positions, game), square);
}

// Takes those drops that mate out of the masks [games, 81].
__device__ inline void settle_drops(const DropQueue& queue, int& count,
                                    const PositionsView& positions, int32_t* mask) {
    if (lane_index() < count) {
        const int64_t entry = queue.entries[lane_index()];
        const int64_t game = entry >> 7;
        const int square = static_cast<int>(entry & 127);
        if (drop_mates(positions, game, square)) {
            forbid_pawn_drop(reinterpret_cast<uint32_t*>(mask) + game * kMaskWords, square);
        }
    }
    count = 0;
    __syncwarp();
}

}  // namespace keisei::batch
