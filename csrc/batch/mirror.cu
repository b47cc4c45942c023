#include "batch/launch.h"
#include "batch/mirror.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) mirror_kernel(MirrorArgs args) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    if (row < args.rows) mirror_row(args, row);
}

}  // namespace

void mirror_cuda(const MirrorArgs& args, void* stream) {
    if (args.rows == 0) return;
    mirror_kernel<<<blocks_for(args.rows, kThreads), kThreads, 0,
                    static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("mirror_kernel");
}

}  // namespace keisei::batch
