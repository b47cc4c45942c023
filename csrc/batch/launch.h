// What every CUDA launcher needs: grid sizes and the launch check.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

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

}  // namespace keisei::batch
