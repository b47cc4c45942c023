// What every CUDA launcher needs: grid sizes, the launch check, rows of masks written coalesced.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "batch/layout.h"

namespace keisei::batch {

inline unsigned blocks_for(int64_t items, int per_block) {
    return static_cast<unsigned>((items + per_block - 1) / per_block);
}

inline void check_cuda(cudaError_t status, const char* what) {
    if (status != cudaSuccess) {
        throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
    }
}

// After a launch: reports what the launch itself refused, under the kernel's name.
inline void check_launch(const char* kernel) {
    check_cuda(cudaGetLastError(), kernel);
}

#if defined(__CUDACC__)
// Threads write their game's 81 mask words to shared memory (an odd stride, so without bank
// conflicts); then the whole block copies its rows, which are contiguous, to [games, 81].
template <int kThreads>
struct MaskStage {
    uint32_t words[kThreads * kMaskWords];

    __device__ uint32_t* row() { return words + threadIdx.x * kMaskWords; }

    // All threads of the block must call it.
    __device__ void flush(int32_t* mask, int64_t first, int64_t games) {
        __syncthreads();
        const int64_t rows = games - first < kThreads ? games - first : kThreads;
        int32_t* const out = mask + first * kMaskWords;
        for (int64_t i = threadIdx.x; i < rows * kMaskWords; i += kThreads) {
            out[i] = static_cast<int32_t>(words[i]);
        }
    }
};
#endif

}  // namespace keisei::batch
