#include "batch/launch.h"
#include "network/norm_relu.h"
#include "network/pack.cuh"

namespace keisei::network {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;

// So many lanes of a warp, a power of two, make a row: each takes a pack of it after the other.
template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads) norm_relu_kernel(NormReluArgs args, int lanes) {
    using Packed = Pack<T, kCount>;
    const int64_t row = static_cast<int64_t>(blockIdx.x) * (kThreads / lanes) + threadIdx.x / lanes;
    const auto channels = static_cast<int>(args.channels);
    // Where there is no row any more there are no channels: all lanes take part in the sums.
    const int end = row < args.rows ? channels : 0;
    const int begin = static_cast<int>(threadIdx.x % lanes) * kCount;
    const int64_t at = row * channels;
    Packed first{};
    float sum = 0;
    for (int c = begin; c < end; c += lanes * kCount) {
        const Packed x = Packed::load(args.x, at + c);
        if (c == begin) first = x;
#pragma unroll
        for (int i = 0; i < kCount; ++i) sum += to_float(x.of[i]) * to_float(x.of[i]);
    }
    for (int step = lanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    const float scale = rsqrtf(sum / static_cast<float>(channels) + kNormEpsilon);
    for (int c = begin; c < end; c += lanes * kCount) {
        const Packed x = c == begin ? first : Packed::load(args.x, at + c);
        const Packed weight = Packed::load(args.weight, c);
        const Packed bias = Packed::load(args.bias, c);
        Packed out;
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            const float value =
                to_float(x.of[i]) * scale * to_float(weight.of[i]) + to_float(bias.of[i]);
            out.of[i] = from_float<T>(value <= 0.0f ? 0.0f : value);  // no number stays none
        }
        out.store(args.out, at + c);
    }
}

}  // namespace

void norm_relu_cuda(const NormReluArgs& args, void* stream) {
    if (args.rows == 0) return;
    with_pack(args.number, args.channels, [&]<typename T, int kCount>() {
        int lanes = 1;
        while (lanes < kWarp && lanes * kCount < args.channels) lanes *= 2;
        norm_relu_kernel<T, kCount><<<batch::blocks_for(args.rows, kThreads / lanes), kThreads, 0,
                                      static_cast<cudaStream_t>(stream)>>>(args, lanes);
    });
    batch::check_launch("norm_relu_kernel");
}

}  // namespace keisei::network
