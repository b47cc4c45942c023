#include "batch/launch.h"
#include "batch/planes.h"

namespace keisei::batch {
namespace {

// One warp makes one position's planes, a lane a group, into shared memory; then the block writes
// them out. The planes of eight positions are a whole number of 16-byte chunks in every type but
// uint8, which is written in chunks of 8 bytes.
constexpr int kGames = 8;
constexpr int kThreads = kGames * 32;
static_assert(shogi::kFeatureGroups == 32);

template <typename T>
constexpr int kChunkBytes = sizeof(T) == 1 ? 8 : 16;

template <typename T>
struct alignas(kChunkBytes<T>) Chunk {
    static constexpr int kSize = kChunkBytes<T> / sizeof(T);
    static_assert(kGames * kPlaneElements % kSize == 0);
    T value[kSize];
};

template <typename T, bool kChannelsLast>
__global__ void __launch_bounds__(kThreads) planes_kernel(const PlanesArgs args, T one) {
    __shared__ shogi::Bitboard planes[kGames][shogi::kFeaturePlanes];
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kGames;
    const int64_t left = args.games - first;
    const int games = static_cast<int>(left < kGames ? left : kGames);
    const int warp = threadIdx.x / 32;
    if (warp < games) {
        shogi::feature_group(load_position(args.positions, first + warp), threadIdx.x % 32,
                             planes[warp]);
    }
    __syncthreads();

    T* const out = static_cast<T*>(args.planes) + first * kPlaneElements;
    const auto element = [&](int i) {
        const int game = i / kPlaneElements;
        return plane_element(planes[game], i - game * kPlaneElements, kChannelsLast) ? one : T{0};
    };
    constexpr int kSize = Chunk<T>::kSize;
    const int elements = games * kPlaneElements;
    const int chunks = elements / kSize;
    for (int c = threadIdx.x; c < chunks; c += kThreads) {
        Chunk<T> chunk;
        for (int i = 0; i < kSize; ++i) chunk.value[i] = element(c * kSize + i);
        reinterpret_cast<Chunk<T>*>(out)[c] = chunk;
    }
    for (int i = chunks * kSize + threadIdx.x; i < elements; i += kThreads) out[i] = element(i);
}

template <typename T>
void launch(const PlanesArgs& args, T one, cudaStream_t stream) {
    const unsigned blocks = blocks_for(args.games, kGames);
    if (args.channels_last) {
        planes_kernel<T, true><<<blocks, kThreads, 0, stream>>>(args, one);
    } else {
        planes_kernel<T, false><<<blocks, kThreads, 0, stream>>>(args, one);
    }
    check_launch("planes_kernel");
}

}  // namespace

void planes_cuda(const PlanesArgs& args, void* stream) {
    if (args.games == 0) return;
    const auto on = static_cast<cudaStream_t>(stream);
    switch (args.type) {
        case PlaneType::float32:
            return launch<float>(args, 1.0f, on);
        case PlaneType::float64:
            return launch<double>(args, 1.0, on);
        case PlaneType::float16:
            return launch<uint16_t>(args, kFloat16One, on);
        case PlaneType::bfloat16:
            return launch<uint16_t>(args, kBfloat16One, on);
        case PlaneType::uint8:
            return launch<uint8_t>(args, 1, on);
    }
}

}  // namespace keisei::batch
