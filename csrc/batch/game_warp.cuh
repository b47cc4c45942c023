// A warp with a game a lane: their mask rows in shared memory, read and written together, and the
// games that it begins anew together. Warps do not wait for each other.
#pragma once

#include "batch/launch.h"
#include "batch/state.h"

namespace keisei::batch {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kLanes = 32;

// `Warps` of a block share the arrays; each lane calls with its own thread index.
template <int kThreads>
struct alignas(16) GameRows {
    uint32_t words[kThreads * kMaskWords];  // an odd stride: no bank conflicts

    __device__ uint32_t* row(int thread) { return words + thread * kMaskWords; }
    __device__ uint32_t* row() { return row(static_cast<int>(threadIdx.x)); }

    // The warp's rows from and to [games, 81], where they are contiguous too.
    __device__ void load(const int32_t* mask, int64_t games) {
        copy(row(warp_first()), reinterpret_cast<const uint32_t*>(mask) + first_game() * kMaskWords,
             used(games));
        __syncwarp();
    }
    __device__ void flush(int32_t* mask, int64_t games) {
        __syncwarp();
        copy(reinterpret_cast<uint32_t*>(mask) + first_game() * kMaskWords, row(warp_first()),
             used(games));
    }

    // Begins a new game in the slots of those lanes that say so. `put_word(thread, w, value)` takes
    // word w of a start position.
    template <typename PutWord>
    __device__ void begin_games(const State& state, bool begins, int32_t clock,
                                PutWord&& put_word) {
        unsigned which = __ballot_sync(kAllLanes, begins);
        if (which == 0) return;
        const int64_t block_first = static_cast<int64_t>(blockIdx.x) * kThreads;
        if (begins) {
            const int64_t game = block_first + threadIdx.x;
            begin_progress(state, game, clock,
                           load_position({state.start_of(game), kStartWords, 1}, 0));
        }
        __syncwarp();
        for (; which != 0; which &= which - 1) {
            const int thread = warp_first() + __ffs(static_cast<int>(which)) - 1;
            const int32_t* const start = state.start_of(block_first + thread);
#pragma unroll 1
            for (int w = lane(); w < kStartWords; w += kLanes) {
                if (w < kPositionWords) {
                    put_word(thread, w, start[w]);
                } else {
                    row(thread)[w - kPositionWords] = static_cast<uint32_t>(start[w]);
                }
            }
        }
        __syncwarp();
    }

 private:
    static __device__ int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
    static __device__ int warp_first() { return static_cast<int>(threadIdx.x) - lane(); }
    static __device__ int64_t first_game() {
        return static_cast<int64_t>(blockIdx.x) * kThreads + warp_first();
    }
    static __device__ int used(int64_t games) {
        const int64_t left = games - first_game();
        return static_cast<int>(left < 0 ? 0 : left < kLanes ? left : kLanes) * kMaskWords;
    }
    static __device__ void copy(uint32_t* to, const uint32_t* from, int count) {
        constexpr int kWide = 4;
        int copied = 0;
        if (((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) & 15) == 0) {
            const int chunks = count / kWide;
            for (int i = lane(); i < chunks; i += kLanes) {
                reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
            }
            copied = chunks * kWide;
        }
        for (int i = copied + lane(); i < count; i += kLanes) to[i] = from[i];
    }
};

}  // namespace keisei::batch
