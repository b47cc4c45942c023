// A block of threads with a game each: their mask rows in shared memory, the doubtful pawn drops
// that they settle together, and the games that a warp begins anew together.
#pragma once

#include "batch/launch.h"
#include "batch/state.h"
#include "shogi/legal.h"

namespace keisei::batch {

constexpr unsigned kAllLanes = 0xffffffffu;

template <int kThreads>
struct alignas(16) GameBlock {
    uint32_t rows[kThreads * kMaskWords];  // an odd stride: no bank conflicts
    int queued[2];                         // how many drops wait; rounds take turns
    uint16_t thread[kThreads];
    uint8_t square[kThreads];

    static __device__ int64_t first() { return static_cast<int64_t>(blockIdx.x) * kThreads; }
    __device__ uint32_t* row(int thread_index) { return rows + thread_index * kMaskWords; }
    __device__ uint32_t* row() { return row(static_cast<int>(threadIdx.x)); }

    // All threads of the block, before the first round.
    __device__ void begin() {
        if (threadIdx.x < 2) queued[threadIdx.x] = 0;
        __syncthreads();
    }

    // All threads of the block, in each round once: settles the drop on square `doubtful` (-1:
    // there is none) of every thread's game. A tenth of the positions has one and the test takes
    // nearly as long as all else, so the block's few share full warps. `position_of(thread)` gives
    // the position, `forbid(thread, square)` takes a drop that mates out of the row.
    template <typename PositionOf, typename Forbid>
    __device__ void settle(int round, int doubtful, PositionOf&& position_of, Forbid&& forbid) {
        int& count = queued[round & 1];
        if (doubtful >= 0) {
            const int slot = atomicAdd(&count, 1);
            thread[slot] = static_cast<uint16_t>(threadIdx.x);
            square[slot] = static_cast<uint8_t>(doubtful);
        }
        __syncthreads();
        if (threadIdx.x == 0) queued[(round + 1) & 1] = 0;
        for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
            if (shogi::pawn_drop_mates(position_of(thread[i]), square[i])) {
                forbid(thread[i], square[i]);
            }
        }
        __syncthreads();
    }

    // All lanes of a warp: begins a new game in the slots of those lanes that say so.
    // `put_word(thread, w, value)` takes word w of the start position.
    template <typename PutWord>
    __device__ void begin_games(const State& state, bool begins, int64_t game, int32_t clock,
                                PutWord&& put_word) {
        unsigned which = __ballot_sync(kAllLanes, begins);
        if (which == 0) return;
        if (begins) {
            begin_progress(state, game, clock,
                           load_position({state.start_of(game), kStartWords, 1}, 0));
        }
        __syncwarp();
        const int lane = static_cast<int>(threadIdx.x) % 32;
        const int warp_first = static_cast<int>(threadIdx.x) - lane;
        for (; which != 0; which &= which - 1) {
            const int thread_index = warp_first + __ffs(static_cast<int>(which)) - 1;
            const int32_t* const start = state.start_of(first() + thread_index);
            for (int w = lane; w < kStartWords; w += 32) {
                if (w < kPositionWords) {
                    put_word(thread_index, w, start[w]);
                } else {
                    row(thread_index)[w - kPositionWords] = static_cast<uint32_t>(start[w]);
                }
            }
        }
        __syncwarp();
    }

    // All threads of the block: rows from and to [games, 81], where a block's are contiguous.
    __device__ void load(const int32_t* mask, int64_t games) {
        copy(rows, reinterpret_cast<const uint32_t*>(mask) + first() * kMaskWords, words(games));
        __syncthreads();
    }
    __device__ void flush(int32_t* mask, int64_t games) {
        __syncthreads();
        copy(reinterpret_cast<uint32_t*>(mask) + first() * kMaskWords, rows, words(games));
    }

 private:
    static __device__ int words(int64_t games) {
        const int64_t left = games - first();
        return static_cast<int>(left < kThreads ? left : kThreads) * kMaskWords;
    }
    static __device__ void copy(uint32_t* to, const uint32_t* from, int count) {
        constexpr int kWide = 4;
        int copied = 0;
        if (((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) & 15) == 0) {
            const int chunks = count / kWide;
            for (int i = static_cast<int>(threadIdx.x); i < chunks; i += kThreads) {
                reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
            }
            copied = chunks * kWide;
        }
        for (int i = copied + static_cast<int>(threadIdx.x); i < count; i += kThreads) {
            to[i] = from[i];
        }
    }
};

}  // namespace keisei::batch
