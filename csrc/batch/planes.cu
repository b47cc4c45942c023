#include "batch/launch.h"
#include "batch/planes.h"

namespace keisei::batch {
namespace {

// A block makes the planes of 32 positions. First a lane is a position and each warp makes a part
// of the planes, so that no lanes diverge. Then a warp takes a position, a lane a plane, and packs
// the bits in the order in which memory wants the elements. Then consecutive threads turn
// consecutive bits into elements, 16 bytes at a time.
constexpr int kGames = 32;
constexpr int kWarps = shogi::kFeatureParts;
constexpr int kThreads = kWarps * 32;
static_assert(kGames * kPlaneElements % 16 == 0, "a block begins at a 16-byte chunk in any type");
static_assert(kGames * kPaddedPlanes % 16 == 0);

// Words of shared memory: first a row for each word of each plane, with a lane's position in its
// column. The stride is odd, so that rows and columns are free of bank conflicts.
constexpr int kRows = shogi::kFeaturePlanes * 3;
constexpr int kStride = kGames + 1;
// Then, in the same place, the packed bits of all positions.
template <int kChannels>
constexpr int kPackedWords = kGames * kChannels * shogi::kSquares / 32 + 1;
constexpr int kSharedWords = kRows * kStride;
static_assert(kPackedWords<kPaddedPlanes> <= kSharedWords);

// Words of 32 planes each that a lane holds of a position, and positions that a warp takes.
constexpr int kPlaneWords = (shogi::kFeaturePlanes + 31) / 32;
constexpr int kGamesPerWarp = kGames / kWarps;

// Turns a warp's 32 x 32 bits: bit i of lane j becomes bit j of lane i.
class Transpose {
 public:
    __device__ Transpose() {
        const auto choose = [lane = threadIdx.x % 32](uint32_t bit, auto high, auto low) {
            return (lane & bit) != 0 ? high : low;
        };
        half_ = choose(16, 0x3276u, 0x5410u);
        byte_ = choose(8, 0x3715u, 0x6240u);
        keep4_ = choose(4, 0xf0f0f0f0u, 0x0f0f0f0fu);
        keep2_ = choose(2, 0xccccccccu, 0x33333333u);
        keep1_ = choose(1, 0xaaaaaaaau, 0x55555555u);
        turn4_ = choose(4, 28, 4);
        turn2_ = choose(2, 30, 2);
        turn1_ = choose(1, 31, 1);
    }

    // The whole warp must call it.
    __device__ uint32_t operator()(uint32_t x) const {
        x = __byte_perm(x, __shfl_xor_sync(~0u, x, 16), half_);
        x = __byte_perm(x, __shfl_xor_sync(~0u, x, 8), byte_);
        x = exchange(x, 4, keep4_, turn4_);
        x = exchange(x, 2, keep2_, turn2_);
        return exchange(x, 1, keep1_, turn1_);
    }

 private:
    __device__ static uint32_t exchange(uint32_t x, int lanes, uint32_t keep, int turn) {
        const uint32_t y = __shfl_xor_sync(~0u, x, lanes);
        return (x & keep) | (__funnelshift_l(y, y, turn) & ~keep);
    }

    uint32_t half_, byte_;            // bytes to take: 0 to 3 of this lane, 4 to 7 of the other
    uint32_t keep4_, keep2_, keep1_;  // bits that stay
    int turn4_, turn2_, turn1_;       // how far to rotate the other lane's
};

// Adds the bits of `words` to the packed bits from bit `at` on.
template <int kWords>
__device__ void pack(uint32_t* packed, int at, const uint32_t (&words)[kWords]) {
    uint32_t* const to = packed + at / 32;
    uint32_t before = 0;
    for (int i = 0; i <= kWords; ++i) {
        const uint32_t now = i < kWords ? words[i] : 0;
        const uint32_t bits = __funnelshift_l(before, now, at % 32);
        // Lanes share the words in which one's bits end and the next one's begin.
        if (bits != 0) atomicOr(to + i, bits);
        before = now;
    }
}

template <bool kChannelsLast, int kChannels>
__device__ void pack_position(uint32_t* packed, int begin, const Transpose& transpose,
                              const uint32_t (&held)[kPlaneWords][3]) {
    const int lane = threadIdx.x % 32;
    if constexpr (kChannelsLast) {
        for (int w = 0; w < 3; ++w) {
            uint32_t planes[kPlaneWords];
            for (int i = 0; i < kPlaneWords; ++i) planes[i] = transpose(held[i][w]);
            const int square = w * shogi::kWordBits + lane;
            if (lane < shogi::kWordBits) {
                pack(packed, begin + square * kChannels, planes);
            }
        }
    } else {
        static_assert(shogi::kWordBits == 27);
        for (int i = 0; i < kPlaneWords; ++i) {
            const auto& word = held[i];
            const uint32_t squares[] = {word[0] | word[1] << 27, word[1] >> 5 | word[2] << 22,
                                        word[2] >> 10};
            const int plane = 32 * i + lane;
            if (plane < shogi::kFeaturePlanes) {
                pack(packed, begin + plane * shogi::kSquares, squares);
            }
        }
    }
}

// 16 bytes of elements from as many bits, the lowest first. kOne is the element 1 as a number.
template <typename Element, Element kOne>
__device__ uint4 elements_of(uint32_t bits) {
    const auto pick = [=](int bit, uint32_t one) { return (bits & (1u << bit)) * (one >> bit); };
    if constexpr (sizeof(Element) == 8) {
        constexpr auto kHigh = static_cast<uint32_t>(kOne >> 32);
        static_assert(kOne << 32 == 0);
        return {0, pick(0, kHigh), 0, pick(1, kHigh)};
    } else if constexpr (sizeof(Element) == 4) {
        static_assert(kOne % (1u << 3) == 0);
        return {pick(0, kOne), pick(1, kOne), pick(2, kOne), pick(3, kOne)};
    } else if constexpr (sizeof(Element) == 2) {
        static_assert(kOne % (1u << 6) == 0);
        // Bit 2 i stays in place, bit 2 i + 1 moves to 16 + 2 i.
        const uint32_t twice = bits * 0x8001u;
        const auto pair = [=](int i) {
            return (twice & (0x10001u << 2 * i)) * (static_cast<uint32_t>(kOne) >> 2 * i);
        };
        return {pair(0), pair(1), pair(2), pair(3)};
    } else {
        static_assert(kOne == 1);
        const auto four = [=](int i) {
            return (((bits >> 4 * i) & 15u) * 0x204081u) & 0x1010101u;  // bit k to byte k
        };
        return {four(0), four(1), four(2), four(3)};
    }
}

template <typename Element, Element kOne>
__device__ void write_elements(const uint32_t* packed, Element* out, int count) {
    constexpr int kSize = 16 / sizeof(Element);
    constexpr int kChunks = kSize < 8 ? 8 / kSize : 1;  // in a byte
    const int chunks = count / kSize;
#pragma unroll 4
    for (int c = threadIdx.x; c < chunks; c += kThreads) {
        uint32_t bits;
        if constexpr (kSize == 16) {
            bits = reinterpret_cast<const uint16_t*>(packed)[c];
        } else {
            const auto* const bytes = reinterpret_cast<const uint8_t*>(packed);
            bits = static_cast<uint32_t>(bytes[c / kChunks]) >> (c % kChunks * kSize);
        }
        // Written once and read by another kernel: the hint keeps it from pushing out what is used.
        __stcs(reinterpret_cast<uint4*>(out) + c, elements_of<Element, kOne>(bits));
    }
    for (int i = chunks * kSize + threadIdx.x; i < count; i += kThreads) {
        out[i] = ((packed[i / 32] >> i % 32) & 1u) != 0 ? kOne : Element{0};
    }
}

template <typename Element, Element kOne, bool kChannelsLast, int kChannels>
__global__ void __launch_bounds__(kThreads, 3) planes_kernel(const PlanesArgs args) {
    __shared__ __align__(16) uint32_t shared[kSharedWords];
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kGames;
    const int64_t left = args.games - first;
    const int games = static_cast<int>(left < kGames ? left : kGames);
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const auto position = load_position(args.positions, first + (lane < games ? lane : 0));
    shogi::feature_part(position, warp, [&](int plane, const shogi::Bitboard& squares) {
        for (int w = 0; w < 3; ++w) shared[(3 * plane + w) * kStride + lane] = squares.word(w);
    });
    __syncthreads();

    uint32_t held[kGamesPerWarp][kPlaneWords][3];
    for (int k = 0; k < kGamesPerWarp; ++k) {
        for (int i = 0; i < kPlaneWords; ++i) {
            const int plane = 32 * i + lane;
            for (int w = 0; w < 3; ++w) {
                const int row = 3 * plane + w;
                held[k][i][w] = row < kRows ? shared[row * kStride + k * kWarps + warp] : 0;
            }
        }
    }
    __syncthreads();
    constexpr int kElements = kChannels * shogi::kSquares;
    for (int i = threadIdx.x; i < kPackedWords<kChannels>; i += kThreads) shared[i] = 0;
    __syncthreads();
    const Transpose transpose;
    for (int k = 0; k < kGamesPerWarp; ++k) {
        const int game = k * kWarps + warp;
        pack_position<kChannelsLast, kChannels>(shared, game * kElements, transpose, held[k]);
    }
    __syncthreads();
    write_elements<Element, kOne>(shared, static_cast<Element*>(args.planes) + first * kElements,
                                  games * kElements);
}

template <typename Element, Element kOne>
void launch(const PlanesArgs& args, cudaStream_t stream) {
    const unsigned blocks = blocks_for(args.games, kGames);
    if (!args.channels_last) {
        planes_kernel<Element, kOne, false, shogi::kFeaturePlanes>
            <<<blocks, kThreads, 0, stream>>>(args);
    } else if (args.channels == kPaddedPlanes) {
        planes_kernel<Element, kOne, true, kPaddedPlanes><<<blocks, kThreads, 0, stream>>>(args);
    } else {
        planes_kernel<Element, kOne, true, shogi::kFeaturePlanes>
            <<<blocks, kThreads, 0, stream>>>(args);
    }
    check_launch("planes_kernel");
}

}  // namespace

void planes_cuda(const PlanesArgs& args, void* stream) {
    if (args.games == 0) return;
    const auto on = static_cast<cudaStream_t>(stream);
    switch (args.type) {
        case PlaneType::float32:
            return launch<uint32_t, 0x3f800000u>(args, on);
        case PlaneType::float64:
            return launch<uint64_t, 0x3ff0000000000000u>(args, on);
        case PlaneType::float16:
            return launch<uint16_t, kFloat16One>(args, on);
        case PlaneType::bfloat16:
            return launch<uint16_t, kBfloat16One>(args, on);
        case PlaneType::uint8:
            return launch<uint8_t, 1>(args, on);
    }
}

}  // namespace keisei::batch
