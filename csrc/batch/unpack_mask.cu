#include "batch/launch.h"
#include "batch/unpack_mask.h"
#include "shogi/legal.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 256;
constexpr int kBytes = 16;  // written by a thread, as one store

// Rows follow each other without a gap, so bit b of word w is simply byte 27 w + b of the output.
__global__ void unpack_mask_kernel(UnpackMaskArgs args) {
    const int64_t bytes = args.games * shogi::kLabels;
    const int64_t first = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kBytes;
    if (first >= bytes) return;
    int64_t word = first / shogi::kWordBits;
    int bit = static_cast<int>(first - word * shogi::kWordBits);
    uint32_t bits = args.mask[word] >> bit;
    uint32_t out[kBytes / 4] = {};
#pragma unroll
    for (int i = 0; i < kBytes; ++i) {
        if (bit == shogi::kWordBits) {
            bit = 0;
            ++word;
            bits = first + i < bytes ? args.mask[word] : 0;
        }
        out[i / 4] |= (bits & 1u) << (i % 4 * 8);
        bits >>= 1;
        ++bit;
    }
    if (first + kBytes <= bytes) {
        *reinterpret_cast<uint4*>(args.legal + first) = {out[0], out[1], out[2], out[3]};
    } else {
#pragma unroll
        for (int i = 0; i < kBytes; ++i) {
            if (first + i < bytes) args.legal[first + i] = (out[i / 4] >> (i % 4 * 8)) & 1u;
        }
    }
}

}  // namespace

void unpack_mask_cuda(const UnpackMaskArgs& args, void* stream) {
    if (args.games == 0) return;
    const int64_t bytes = args.games * shogi::kLabels;
    unpack_mask_kernel<<<blocks_for(bytes, kThreads * kBytes), kThreads, 0,
                         static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("unpack_mask_kernel");
}

}  // namespace keisei::batch
