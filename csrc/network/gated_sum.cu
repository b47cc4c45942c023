#include "batch/launch.h"
#include "network/gated_sum.h"
#include "network/pack.cuh"

namespace keisei::network {
namespace {

constexpr int kThreads = 256;

// Blocks of one column make a board; a thread makes a pack of channels of one square.
template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads) gated_sum_kernel(GatedSumArgs args) {
    using Packed = Pack<T, kCount>;
    const auto channels = static_cast<unsigned>(args.channels);
    const unsigned in_board = (blockIdx.y * kThreads + threadIdx.x) * kCount;
    const auto of_board = static_cast<unsigned>(args.squares) * channels;
    if (in_board >= of_board) return;
    const int64_t board = blockIdx.x;
    const int64_t at = board * of_board + in_board;
    const int64_t gates = board * 2 * channels + in_board % channels;
    const Packed x = Packed::load(args.x, at);
    const Packed y = Packed::load(args.y, at);
    const Packed gate = Packed::load(args.gates, gates);
    const Packed shift = Packed::load(args.gates, gates + channels);
    Packed out;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
        const float open = 1.0f / (1.0f + expf(-to_float(gate.of[i])));
        out.of[i] =
            from_float<T>(to_float(x.of[i]) + (to_float(y.of[i]) * open + to_float(shift.of[i])));
    }
    out.store(args.out, at);
}

}  // namespace

void gated_sum_cuda(const GatedSumArgs& args, void* stream) {
    if (args.boards == 0) return;
    with_pack(args.number, args.channels, [&]<typename T, int kCount>() {
        const dim3 blocks(static_cast<unsigned>(args.boards),
                          batch::blocks_for(args.squares * args.channels, kThreads * kCount));
        gated_sum_kernel<T, kCount>
            <<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args);
    });
    batch::check_launch("gated_sum_kernel");
}

}  // namespace keisei::network
