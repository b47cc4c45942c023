#include <algorithm>
#include <stdexcept>

#include "batch/launch.h"
#include "batch/perft.h"
#include "shogi/apply.h"

// Depth first over chunks of positions, a whole chunk at a time: list the moves of a chunk, make
// a bounded number of children, go on with those. The last ply but one is listed, its children are
// made in registers and their moves counted, so neither they nor the last ply go to memory.

namespace keisei::batch {
namespace {

// A function of its own, so that its registers are not wanted all the time.
__device__ __noinline__ bool drop_mates(const shogi::Position& position, int square) {
    return shogi::pawn_drop_mates(position, square);
}

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
// Positions whose moves are listed together: many before the last ply, where all the time goes;
// before that only enough to keep the device busy.
constexpr int64_t kLastChunk = int64_t{1} << 18;
constexpr int64_t kChunk = int64_t{1} << 16;
// A listed move is its parent's number in the chunk and the label.
constexpr int kLabelBits = 12;
static_assert(shogi::kLabels <= 1 << kLabelBits);
static_assert(kLastChunk <= int64_t{1} << (32 - kLabelBits));

__device__ uint32_t parent_of(uint32_t move) {
    return move >> kLabelBits;
}
__device__ int label_of(uint32_t move) {
    return static_cast<int>(move & ((1u << kLabelBits) - 1));
}

// A chunk of positions, word-major, and for each the index of the game it stems from.
struct Chunk {
    int32_t* words;
    uint32_t* game;
    int64_t capacity;
};

// Moves as parent << kLabelBits | label, those of one parent together.
struct Moves {
    uint32_t* move;
    uint32_t capacity;
    uint32_t* count;     // may exceed the capacity: then not all have been written
    uint32_t* too_many;  // set then
};

__global__ void __launch_bounds__(kThreads, 4)
    list_moves_kernel(const PositionsView positions, int64_t first, int count, const Moves moves) {
    // A mask row a thread; its stride is odd, so without bank conflicts.
    __shared__ uint32_t masks[kThreads * kMaskWords];
    const int lane = threadIdx.x % 32;
    const int parent = blockIdx.x * kThreads + threadIdx.x;
    uint32_t* const row = masks + threadIdx.x * kMaskWords;
    uint32_t mine = 0;
    if (parent < count) {
        const auto generated = shogi::for_each_pseudo_plane(
            load_position(positions, first + parent), [&](int plane, const shogi::Bitboard& to) {
                to.store(row + 3 * plane);
                mine += to.count();
            });
        const int drop = generated.doubtful_drop;
        if (drop >= 0 && drop_mates(load_position(positions, first + parent), drop)) {
            forbid_pawn_drop(row, drop);
            --mine;
        }
    }
    uint32_t total = mine;
    for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(~0u, total, step);
    uint32_t at = 0;
    if (lane == 0 && total > 0) at = atomicAdd(moves.count, total);
    at = __shfl_sync(~0u, at, 0);
    if (total > moves.capacity || at > moves.capacity - total) {
        *moves.too_many = 1;
        return;
    }

    // The warp writes one parent's moves after another, a lane three words of its mask.
    __syncwarp();
    const int warp_first = threadIdx.x - lane;
    for (int p = 0; p < 32; ++p) {
        if (parent - lane + p >= count) break;
        const uint32_t* const words = masks + (warp_first + p) * kMaskWords;
        uint32_t word[3];
        for (int i = 0; i < 3; ++i) {
            const int w = 3 * lane + i;
            word[i] = w < kMaskWords ? words[w] : 0;
        }
        const uint32_t here =
            shogi::popcount(word[0]) + shogi::popcount(word[1]) + shogi::popcount(word[2]);
        uint32_t up_to = here;
        for (int step = 1; step < 32; step *= 2) {
            const uint32_t below = __shfl_up_sync(~0u, up_to, step);
            if (lane >= step) up_to += below;
        }
        uint32_t* out = moves.move + at + up_to - here;
        const uint32_t head = static_cast<uint32_t>(parent - lane + p) << kLabelBits;
        for (int i = 0; i < 3; ++i) {
            for (uint32_t bits = word[i]; bits != 0; bits &= bits - 1) {
                *out++ = head | ((3 * lane + i) * shogi::kWordBits + shogi::lowest_bit(bits));
            }
        }
        at += __shfl_sync(~0u, up_to, 31);
    }
}

__device__ uint32_t game_of(const uint32_t* games, int64_t first, int64_t position) {
    return games == nullptr ? static_cast<uint32_t>(first + position) : games[position];
}

__global__ void __launch_bounds__(kThreads)
    make_children_kernel(const PositionsView parents, const uint32_t* games, int64_t first,
                         const uint32_t* moves, int count, const Chunk children) {
    const int child = blockIdx.x * kThreads + threadIdx.x;
    if (child >= count) return;
    const uint32_t move = moves[child];
    const auto parent = load_position(parents, first + parent_of(move));
    store_position(children.words, 1, children.capacity, child,
                   shogi::apply(parent, label_of(move)));
    children.game[child] = game_of(games, first, parent_of(move));
}

__device__ void add_nodes(int64_t* nodes, uint32_t game, uint64_t count) {
    atomicAdd(reinterpret_cast<unsigned long long*>(nodes + game), count);
}

// Four blocks a multiprocessor: 128 registers a thread hold a position and its generation.
__global__ void __launch_bounds__(kThreads, 4)
    count_children_kernel(const PositionsView parents, const uint32_t* games, int64_t first,
                          const Moves moves, int64_t* nodes) {
    // Children with a pawn drop that may mate wait here until a whole warp of them can be asked.
    __shared__ uint32_t waiting[kWarps][64];
    uint32_t* const queue = waiting[threadIdx.x / 32];
    uint32_t queued = 0;
    const int lane = threadIdx.x % 32;
    const uint32_t count = *moves.count <= moves.capacity ? *moves.count : 0;
    uint32_t game = 0;  // that the warp counts for at present
    uint64_t sum = 0;   // a lane's part of it
    const auto child_of = [&](uint32_t i) {
        const uint32_t move = moves.move[i];
        return shogi::apply(load_position(parents, first + parent_of(move)), label_of(move));
    };
    const auto close_game = [&] {
        for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
        if (lane == 0 && sum != 0) add_nodes(nodes, game, sum);
        sum = 0;
    };
    // Adds what each lane has found for its move i. Neighbouring moves mostly belong to one game,
    // so the warp takes one game after another, and memory sees a sum only where the game changes.
    const auto add = [&](bool active, uint32_t i, uint64_t found) {
        const uint32_t of = active ? game_of(games, first, parent_of(moves.move[i])) : game;
        uint32_t left = __ballot_sync(~0u, active);
        while (true) {
            const bool now = of == game && ((left >> lane) & 1u) != 0;
            if (now) sum += found;
            left &= ~__ballot_sync(~0u, now);
            if (left == 0) break;
            close_game();
            game = __shfl_sync(~0u, of, shogi::lowest_bit(left));
        }
    };
    const auto settle = [&] {
        __syncwarp();
        const bool active = lane < queued;
        const uint32_t i = active ? queue[lane] : 0;
        bool mates = false;
        if (active) {
            const auto child = child_of(i);
            const auto king = without(child.pieces(shogi::KING), child.own);
            mates = drop_mates(child, shogi::step<shogi::DOWN>(king).lowest());
        }
        add(mates, i, ~uint64_t{0});
        if (lane + 32 < queued) queue[lane] = queue[lane + 32];
        queued = queued > 32 ? queued - 32 : 0;
        __syncwarp();
    };

    for (uint32_t base = blockIdx.x * kThreads + threadIdx.x - lane; base < count;
         base += gridDim.x * kThreads) {
        const uint32_t i = base + lane;
        const bool active = i < count;
        bool doubtful = false;
        uint32_t found = 0;
        if (active) {
            const auto generated = shogi::for_each_pseudo_plane(
                child_of(i), [&](int, const shogi::Bitboard& to) { found += to.count(); });
            doubtful = generated.doubtful_drop >= 0;
        }
        add(active, i, found);
        const uint32_t all = __ballot_sync(~0u, doubtful);
        if (doubtful) queue[queued + shogi::popcount(all & ((1u << lane) - 1))] = i;
        queued += shogi::popcount(all);
        if (queued >= 32) settle();
    }
    if (queued > 0) settle();
    close_game();
}

__global__ void __launch_bounds__(kThreads, 4)
    count_moves_kernel(const PositionsView positions, int64_t games, int64_t* nodes) {
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    if (game < games) nodes[game] = shogi::count_legal(load_position(positions, game));
}

__global__ void fill_kernel(int64_t* nodes, int64_t games, int64_t value) {
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    if (game < games) nodes[game] = value;
}

// Hands out the scratch memory; with no memory given it only counts what is needed.
struct Arena {
    std::byte* at;
    size_t used = 0;

    template <typename T>
    T* take(int64_t count) {
        T* const out = reinterpret_cast<T*>(at + used);
        used += (static_cast<size_t>(count) * sizeof(T) + 255) / 256 * 256;
        return out;
    }
};

void clear(uint32_t* cell, cudaStream_t stream) {
    check_cuda(cudaMemsetAsync(cell, 0, sizeof(*cell), stream), "cudaMemsetAsync");
}

struct Walk {
    cudaStream_t stream;
    int64_t* nodes;
    int depth;
    unsigned counting_blocks;
    uint32_t* too_many;
    Chunk chunk[kPerftMostDepth];  // of each ply from 1
    Moves moves[kPerftMostDepth];

    // Positions at a ply that are taken together.
    static int64_t taken(int ply, int depth) { return ply == depth - 2 ? kLastChunk : kChunk; }

    size_t lay_out(void* scratch, int64_t games) {
        Arena arena{static_cast<std::byte*>(scratch)};
        too_many = arena.take<uint32_t>(1);
        int64_t most = games;
        for (int ply = 0; ply + 2 <= depth; ++ply) {
            most = std::min(most, taken(ply, depth));
            if (ply > 0) {
                chunk[ply] = {arena.take<int32_t>(kPositionWords * most),
                              arena.take<uint32_t>(most), most};
            }
            most *= kMostMoves;
            moves[ply] = {arena.take<uint32_t>(most), static_cast<uint32_t>(most),
                          arena.take<uint32_t>(1), too_many};
        }
        return arena.used;
    }

    uint32_t fetch(const uint32_t* cell) const {
        uint32_t out = 0;
        check_cuda(cudaMemcpyAsync(&out, cell, sizeof(out), cudaMemcpyDeviceToHost, stream),
                   "cudaMemcpyAsync");
        check_cuda(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
        return out;
    }

    static void refuse(bool too_many) {
        if (too_many) {
            throw std::invalid_argument("positions: expected at most " +
                                        std::to_string(kMostMoves) +
                                        " legal moves in each on average, got more");
        }
    }

    // Counts from `count` positions of a ply, which begin at `first` of the view.
    void visit(const PositionsView& positions, const uint32_t* games, int64_t first, int64_t count,
               int ply) {
        const Moves& listed = moves[ply];
        clear(listed.count, stream);
        list_moves_kernel<<<blocks_for(count, kThreads), kThreads, 0, stream>>>(
            positions, first, static_cast<int>(count), listed);
        check_launch("list_moves_kernel");
        if (ply == depth - 2) {
            count_children_kernel<<<counting_blocks, kThreads, 0, stream>>>(positions, games, first,
                                                                            listed, nodes);
            check_launch("count_children_kernel");
            return;
        }
        const uint32_t found = fetch(listed.count);
        refuse(found > listed.capacity);
        const Chunk& next = chunk[ply + 1];
        const int64_t chunks = (found + next.capacity - 1) / next.capacity;
        for (int64_t i = 0; i < chunks; ++i) {
            const int64_t begin = found * i / chunks;
            const int64_t made = found * (i + 1) / chunks - begin;
            make_children_kernel<<<blocks_for(made, kThreads), kThreads, 0, stream>>>(
                positions, games, first, listed.move + begin, static_cast<int>(made), next);
            check_launch("make_children_kernel");
            visit({next.words, 1, next.capacity}, next.game, 0, made, ply + 1);
        }
    }
};

}  // namespace

size_t perft_scratch_bytes(int64_t games, int depth) {
    Walk walk{};
    walk.depth = depth;
    return walk.lay_out(nullptr, games);
}

void perft_cuda(const PerftArgs& args, void* on) {
    if (args.games == 0) return;
    const auto stream = static_cast<cudaStream_t>(on);
    const unsigned blocks = blocks_for(args.games, kThreads);
    if (args.depth == 1) {
        count_moves_kernel<<<blocks, kThreads, 0, stream>>>(args.positions, args.games, args.nodes);
        return check_launch("count_moves_kernel");
    }
    fill_kernel<<<blocks, kThreads, 0, stream>>>(args.nodes, args.games, args.depth == 0 ? 1 : 0);
    check_launch("fill_kernel");
    if (args.depth == 0) return;

    Walk walk{};
    walk.stream = stream;
    walk.nodes = args.nodes;
    walk.depth = args.depth;
    walk.lay_out(args.scratch, args.games);
    clear(walk.too_many, stream);
    int device = 0;
    int processors = 0;
    int resident = 0;
    check_cuda(cudaGetDevice(&device), "cudaGetDevice");
    check_cuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device),
               "cudaDeviceGetAttribute");
    check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, count_children_kernel,
                                                             kThreads, 0),
               "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
    walk.counting_blocks = static_cast<unsigned>(processors * resident);
    const int64_t taken = Walk::taken(0, args.depth);
    for (int64_t first = 0; first < args.games; first += taken) {
        walk.visit(args.positions, nullptr, first, std::min(taken, args.games - first), 0);
    }
    Walk::refuse(walk.fetch(walk.too_many) != 0);
}

}  // namespace keisei::batch
