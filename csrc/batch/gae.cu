#include "batch/gae.h"
#include "batch/launch.h"

namespace keisei::batch {
namespace {

// Neighbouring games that a thread reads and writes at once: four are 16 bytes of floats.
template <int kGames>
struct Wide;

template <>
struct Wide<1> {
    using Floats = float;
    using Bytes = uint8_t;
};

template <>
struct Wide<4> {
    using Floats = float4;
    using Bytes = uint32_t;
};

template <int kGames>
__device__ void read_floats(float (&out)[kGames], const float* from) {
    using Floats = typename Wide<kGames>::Floats;
    union {
        Floats whole;
        float each[kGames];
    } loaded;
    loaded.whole = *reinterpret_cast<const Floats*>(from);
#pragma unroll
    for (int i = 0; i < kGames; ++i) out[i] = loaded.each[i];
}

template <int kGames>
__device__ void write_floats(float* to, const float (&values)[kGames]) {
    using Floats = typename Wide<kGames>::Floats;
    union {
        Floats whole;
        float each[kGames];
    } stored;
#pragma unroll
    for (int i = 0; i < kGames; ++i) stored.each[i] = values[i];
    *reinterpret_cast<Floats*>(to) = stored.whole;
}

template <int kGames>
__device__ uint32_t read_bytes(const uint8_t* from) {
    return *reinterpret_cast<const typename Wide<kGames>::Bytes*>(from);
}

__device__ uint8_t byte_of(uint32_t bytes, int i) {
    return static_cast<uint8_t>(bytes >> (8 * i));
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

// Many games: a thread walks back through the whole rollout of a few, and always has kAhead rows
// under way.
template <GaeForm kForm, int kGames, int kAhead, int kThreads>
__global__ void __launch_bounds__(kThreads) gae_walk_kernel(GaeArgs args) {
    const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    const int64_t game = thread * kGames;
    if (game >= args.games) return;
    Rows<kForm, kGames> ahead[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
        const int64_t t = args.steps - 1 - k;
        if (t >= 0) ahead[k].read(args, t, game);
    }
    Walk<kForm, kGames> walk;
    walk.start(args, args.steps - 1, game);
    float passed[kGames] = {};
    for (int64_t last = args.steps - 1; last >= 0; last -= kAhead) {
#pragma unroll
        for (int k = 0; k < kAhead; ++k) {
            const int64_t t = last - k;
            if (t < 0) break;
            GaeRow row[kGames];
#pragma unroll
            for (int i = 0; i < kGames; ++i) row[i] = ahead[k].of(i);
            if (t >= kAhead) ahead[k].read(args, t - kAhead, game);
#pragma unroll
            for (int i = 0; i < kGames; ++i) {
                passed[i] = walk.step(args, row[i], i).pass(passed[i]);
            }
            write_rows<kForm>(args, t, game, passed, row);
        }
    }
}

// Few games: the threads of a column share the time of its games, kRows rows each, and join what
// they have found; a rollout longer than kChunks * kRows goes in stretches, the last one first.
template <GaeForm kForm, int kGames, int kColumns, int kChunks, int kRows>
__global__ void __launch_bounds__(kColumns* kChunks) gae_scan_kernel(GaeArgs args) {
    __shared__ GaeStep found[kChunks][kGames][kColumns];
    __shared__ float carried[kGames][kColumns];
    const int column = threadIdx.x % kColumns;
    const int chunk = threadIdx.x / kColumns;  // the first is the latest in time
    const int64_t game = (static_cast<int64_t>(blockIdx.x) * kColumns + column) * kGames;
    const bool inside = game < args.games;

    for (int64_t end = args.steps; end > 0; end -= kChunks * kRows) {
        const int64_t last = end - 1 - static_cast<int64_t>(chunk) * kRows;  // its latest row
        GaeStep steps[kRows][kGames];
        GaeRow rows[kRows][kGames];
        GaeStep all[kGames];
#pragma unroll
        for (int i = 0; i < kGames; ++i) all[i] = {0.0f, 1.0f};
        if (inside && last >= 0) {
            Rows<kForm, kGames> read[kRows];
            Walk<kForm, kGames> walk;
#pragma unroll
            for (int k = 0; k < kRows; ++k) {
                if (last >= k) read[k].read(args, last - k, game);
            }
            walk.start(args, last, game);
#pragma unroll
            for (int k = 0; k < kRows; ++k) {
                if (last < k) break;
#pragma unroll
                for (int i = 0; i < kGames; ++i) {
                    rows[k][i] = read[k].of(i);
                    steps[k][i] = walk.step(args, rows[k][i], i);
                    all[i] = steps[k][i].joined(all[i]);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < kGames; ++i) found[chunk][i][column] = all[i];
        __syncthreads();
        float passed[kGames];
#pragma unroll
        for (int i = 0; i < kGames; ++i) {
            passed[i] = end == args.steps ? 0.0f : carried[i][column];
            for (int later = 0; later < chunk; ++later) {
                passed[i] = found[later][i][column].pass(passed[i]);
            }
        }
        if (inside && last >= 0) {
#pragma unroll
            for (int k = 0; k < kRows; ++k) {
                if (last < k) break;
#pragma unroll
                for (int i = 0; i < kGames; ++i) passed[i] = steps[k][i].pass(passed[i]);
                write_rows<kForm>(args, last - k, game, passed, rows[k]);
            }
        }
        __syncthreads();
        if (chunk == kChunks - 1) {
#pragma unroll
            for (int i = 0; i < kGames; ++i) carried[i][column] = passed[i];
        }
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

template <GaeForm kForm, int kGames, int kAhead>
void walk(const GaeArgs& args, cudaStream_t stream) {
    constexpr int kThreads = 128;
    gae_walk_kernel<kForm, kGames, kAhead, kThreads>
        <<<blocks_for(args.games, kThreads * kGames), kThreads, 0, stream>>>(args);
    check_launch("gae_walk_kernel");
}

template <GaeForm kForm, int kColumns, int kChunks, int kRows>
void scan(const GaeArgs& args, cudaStream_t stream) {
    gae_scan_kernel<kForm, 1, kColumns, kChunks, kRows>
        <<<blocks_for(args.games, kColumns), kColumns * kChunks, 0, stream>>>(args);
    check_launch("gae_scan_kernel");
}

// With so many games one thread for several of them fills a GPU.
constexpr int64_t kManyGames = 65536;
constexpr int64_t kFewGames = 2048;

template <GaeForm kForm>
void launch(const GaeArgs& args, cudaStream_t stream) {
    if (args.games >= kManyGames) {
        if (in_fours(args)) {
            walk<kForm, 4, 4>(args, stream);
        } else {
            walk<kForm, 1, 8>(args, stream);
        }
    } else if (args.games >= kFewGames) {
        scan<kForm, 32, 8, 8>(args, stream);
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
