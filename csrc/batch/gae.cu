#include "batch/gae.h"
#include "batch/launch.h"

namespace keisei::batch {
namespace {

// Neighbouring games that a thread reads and writes at once: four are 16 bytes of floats.
constexpr int kFour = 4;

template <int kGames>
__device__ void read_floats(float (&out)[kGames], const float* from) {
    static_assert(kGames == 1 || kGames == kFour);
    if constexpr (kGames == 1) {
        out[0] = *from;
    } else {
        const float4 four = *reinterpret_cast<const float4*>(from);
        out[0] = four.x;
        out[1] = four.y;
        out[2] = four.z;
        out[3] = four.w;
    }
}

template <int kGames>
__device__ void write_floats(float* to, const float (&values)[kGames]) {
    if constexpr (kGames == 1) {
        *to = values[0];
    } else {
        // Nothing here reads it again. Kept as usual, with many rows under way, the second-level
        // cache counts more than twice as many written sectors, and a third of the time is lost.
        __stcs(reinterpret_cast<float4*>(to), float4{values[0], values[1], values[2], values[3]});
    }
}

template <int kGames>
__device__ uint32_t read_bytes(const uint8_t* from) {
    if constexpr (kGames == 1) {
        return *from;
    } else {
        return *reinterpret_cast<const uint32_t*>(from);
    }
}

__device__ uint8_t byte_of(uint32_t bytes, int i) {
    return static_cast<uint8_t>(bytes >> (8 * i));
}

// Asks for kBytes from global memory; they come to shared memory without passing a register.
template <int kBytes>
__device__ void ask(void* shared, const void* global) {
    const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
    if constexpr (kBytes == 16) {  // past the first-level cache
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
    } else {
        static_assert(kBytes == 4);
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(global) : "memory");
    }
}

// Closes a group of what was asked for.
__device__ void end_group() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until no more than kLeft groups, the latest, are under way.
template <int kLeft>
__device__ void wait_for_groups() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

// A row of a few games as it was read; nothing is unpacked, so that many fit in registers.
template <GaeForm kForm, int kGames>
struct Rows {
    float value[kGames];
    float reward[kGames];
    uint32_t ending;
    uint32_t valid;
    uint32_t own;

    __device__ void read(const GaeArgs& args, int64_t t, int64_t game) {
        const int64_t at = t * args.games + game;
        read_floats(value, args.values + at);
        read_floats(reward, args.rewards + at);
        ending = read_bytes<kGames>(args.ending + at);
        valid = read_bytes<kGames>(args.valid + at);
        if constexpr (kForm == GaeForm::own_plies) own = read_bytes<kGames>(args.own + at);
    }

    __device__ GaeRow of(int i) const {
        const bool moved = byte_of(valid, i) != 0;
        const bool learnt = moved && (kForm != GaeForm::own_plies || byte_of(own, i) != 0);
        return {value[i], reward[i], byte_of(ending, i), true, moved, learnt};
    }
};

// Where a thread stands on its way back in time.
template <GaeForm kForm, int kGames>
struct Walk {
    GaeRow next[kGames];
    GaeRow after[kGames];

    // Begins so that the next step is of row t.
    __device__ void start(const GaeArgs& args, int64_t t, int64_t game) {
        look(args, t + 1, game, next);
        if constexpr (kForm == GaeForm::own_plies) {
            if (t + 1 < args.steps) look(args, t + 2, game, after);
        }
    }

    __device__ GaeStep step(const GaeArgs& args, const GaeRow& row, int i) {
        const GaeStep out = gae_step<kForm>(args.gamma, args.lambda, row, next[i], after[i]);
        if constexpr (kForm == GaeForm::own_plies) after[i] = next[i];
        next[i] = row;
        return out;
    }

 private:
    __device__ static void look(const GaeArgs& args, int64_t t, int64_t game,
                                GaeRow (&out)[kGames]) {
        if (t < args.steps) {
            Rows<kForm, kGames> rows;
            rows.read(args, t, game);
#pragma unroll
            for (int i = 0; i < kGames; ++i) out[i] = rows.of(i);
        } else {
            float value[kGames];
            read_floats(value, args.values + t * args.games + game);
#pragma unroll
            for (int i = 0; i < kGames; ++i) out[i] = GaeRow::bootstrap(value[i]);
        }
    }
};

template <GaeForm kForm, int kGames>
__device__ void write_rows(const GaeArgs& args, int64_t t, int64_t game,
                           const float (&passed)[kGames], const GaeRow (&row)[kGames]) {
    float advantage[kGames];
    float target[kGames];
#pragma unroll
    for (int i = 0; i < kGames; ++i) {
        advantage[i] = row[i].learnt ? passed[i] : 0.0f;
        target[i] = row[i].learnt ? passed[i] + row[i].value : 0.0f;
    }
    write_floats(args.advantages + t * args.games + game, advantage);
    write_floats(args.returns + t * args.games + game, target);
}

// Many games: a thread walks back through the whole rollout of four, and always has kAhead rows
// under way. It waits for its own alone, so there is no barrier.
template <GaeForm kForm, int kAhead, int kThreads>
__global__ void __launch_bounds__(kThreads) gae_walk_kernel(GaeArgs args) {
    constexpr bool kOwn = kForm == GaeForm::own_plies;
    __shared__ float4 values[kAhead][kThreads];
    __shared__ float4 rewards[kAhead][kThreads];
    __shared__ uint32_t endings[kAhead][kThreads];
    __shared__ uint32_t valids[kAhead][kThreads];
    __shared__ uint32_t owns[kOwn ? kAhead : 1][kThreads];
    const int me = threadIdx.x;
    const int64_t game = (static_cast<int64_t>(blockIdx.x) * kThreads + me) * kFour;
    if (game >= args.games) return;

    int64_t left = args.steps;  // rows not yet asked for
    const auto ask_for_row = [&](int slot) {
        if (left > 0) {
            --left;
            const int64_t at = left * args.games + game;
            ask<16>(&values[slot][me], args.values + at);
            ask<16>(&rewards[slot][me], args.rewards + at);
            ask<4>(&endings[slot][me], args.ending + at);
            ask<4>(&valids[slot][me], args.valid + at);
            if constexpr (kOwn) ask<4>(&owns[slot][me], args.own + at);
        }
        end_group();  // also an empty one: groups are counted
    };
#pragma unroll
    for (int slot = 0; slot < kAhead; ++slot) ask_for_row(slot);
    Walk<kForm, kFour> walk;
    walk.start(args, args.steps - 1, game);
    float passed[kFour] = {};
    for (int64_t last = args.steps - 1; last >= 0; last -= kAhead) {
#pragma unroll
        for (int slot = 0; slot < kAhead; ++slot) {
            const int64_t t = last - slot;
            if (t < 0) break;
            wait_for_groups<kAhead - 1>();
            Rows<kForm, kFour> read;
            read_floats(read.value, reinterpret_cast<const float*>(&values[slot][me]));
            read_floats(read.reward, reinterpret_cast<const float*>(&rewards[slot][me]));
            read.ending = endings[slot][me];
            read.valid = valids[slot][me];
            if constexpr (kOwn) read.own = owns[slot][me];
            GaeRow row[kFour];
#pragma unroll
            for (int i = 0; i < kFour; ++i) {
                row[i] = read.of(i);
                passed[i] = walk.step(args, row[i], i).pass(passed[i]);
            }
            write_rows<kForm>(args, t, game, passed, row);
            ask_for_row(slot);
        }
    }
}

// Few games: the threads of a column share the time of a game, kRows rows each, and join what they
// have found; a rollout longer than kChunks * kRows goes in stretches, the last one first.
template <GaeForm kForm, int kColumns, int kChunks, int kRows>
__global__ void __launch_bounds__(kColumns* kChunks) gae_scan_kernel(GaeArgs args) {
    __shared__ GaeStep found[kChunks][kColumns];
    __shared__ float carried[kColumns];
    const int column = threadIdx.x % kColumns;
    const int chunk = threadIdx.x / kColumns;  // the first is the latest in time
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kColumns + column;

    for (int64_t end = args.steps; end > 0; end -= kChunks * kRows) {
        const int64_t last = end - 1 - static_cast<int64_t>(chunk) * kRows;  // its latest row
        const bool inside = game < args.games && last >= 0;
        GaeRow rows[kRows][1];
        GaeStep steps[kRows];
        GaeStep all{0.0f, 1.0f};
        if (inside) {
            Rows<kForm, 1> read[kRows];
            Walk<kForm, 1> walk;
#pragma unroll
            for (int k = 0; k < kRows; ++k) {
                if (last >= k) read[k].read(args, last - k, game);
            }
            walk.start(args, last, game);
#pragma unroll
            for (int k = 0; k < kRows; ++k) {
                if (last < k) break;
                rows[k][0] = read[k].of(0);
                steps[k] = walk.step(args, rows[k][0], 0);
                all = steps[k].joined(all);
            }
        }
        found[chunk][column] = all;
        __syncthreads();
        float passed[1] = {end == args.steps ? 0.0f : carried[column]};
        for (int later = 0; later < chunk; ++later) {
            passed[0] = found[later][column].pass(passed[0]);
        }
        if (inside) {
#pragma unroll
            for (int k = 0; k < kRows; ++k) {
                if (last < k) break;
                passed[0] = steps[k].pass(passed[0]);
                write_rows<kForm>(args, last - k, game, passed, rows[k]);
            }
        }
        __syncthreads();
        if (chunk == kChunks - 1) carried[column] = passed[0];
        __syncthreads();
    }
}

bool aligned(const void* pointer, size_t bytes) {
    return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

// Whether every row of every tensor begins at a whole group of four games.
bool in_fours(const GaeArgs& args) {
    return args.games % 4 == 0 && aligned(args.values, 16) && aligned(args.rewards, 16) &&
           aligned(args.ending, 4) && aligned(args.valid, 4) && aligned(args.own, 4) &&
           aligned(args.advantages, 16) && aligned(args.returns, 16);
}

template <GaeForm kForm, int kAhead>
void walk(const GaeArgs& args, cudaStream_t stream) {
    constexpr int kThreads = 128;
    gae_walk_kernel<kForm, kAhead, kThreads>
        <<<blocks_for(args.games, kThreads * kFour), kThreads, 0, stream>>>(args);
    check_launch("gae_walk_kernel");
}

template <GaeForm kForm, int kColumns, int kChunks, int kRows>
void scan(const GaeArgs& args, cudaStream_t stream) {
    gae_scan_kernel<kForm, kColumns, kChunks, kRows>
        <<<blocks_for(args.games, kColumns), kColumns * kChunks, 0, stream>>>(args);
    check_launch("gae_scan_kernel");
}

// The shapes that were fastest on an H200. With this many games threads for whole games fill it,
// ...
constexpr int64_t kManyGames = 65536;
// ... and four rows of each are enough under way.
constexpr int64_t kVeryManyGames = 131072;

template <GaeForm kForm>
void launch(const GaeArgs& args, cudaStream_t stream) {
    if (args.games >= kVeryManyGames && in_fours(args)) {
        walk<kForm, 4>(args, stream);
    } else if (args.games >= kManyGames && in_fours(args)) {
        walk<kForm, 8>(args, stream);
    } else if (args.games >= 8192) {
        scan<kForm, 32, 8, 4>(args, stream);
    } else if (args.games >= 2048) {
        scan<kForm, 32, 16, 4>(args, stream);
    } else {
        scan<kForm, 8, 32, 8>(args, stream);
    }
}

}  // namespace

void gae_cuda(const GaeArgs& args, void* stream) {
    if (args.games == 0 || args.steps == 0) return;
    const auto on = static_cast<cudaStream_t>(stream);
    switch (args.form) {
        case GaeForm::zero_sum:
            return launch<GaeForm::zero_sum>(args, on);
        case GaeForm::single:
            return launch<GaeForm::single>(args, on);
        case GaeForm::own_plies:
            return launch<GaeForm::own_plies>(args, on);
    }
}

}  // namespace keisei::batch
