// What every CUDA launcher needs: grid sizes and the launch check.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace keisei::batch {

inline unsigned blocks_for(int64_t items, int per_block) {
    return static_cast<unsigned>((items + per_block - 1) / per_block);
}

inline void check_cuda(cudaError_t status, const char* what) {
    if (status != cudaSuccess) {
        cudaGetLastError();  // else the next launch would be blamed for it
        throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
    }
}

// After a launch: reports what the launch itself refused, under the kernel's name.
inline void check_launch(const char* kernel) {
    check_cuda(cudaGetLastError(), kernel);
}

// Whether a block on the current device can have so much shared memory.
inline bool fits_a_block(size_t shared) {
    int device = 0;
    int most = 0;
    check_cuda(cudaGetDevice(&device), "current device");
    check_cuda(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
               "shared memory of a block");
    return shared <= static_cast<size_t>(most);
}

// How many blocks of a kernel the current device holds at once; allows the kernel its shared
// memory.
template <auto* kKernel>
unsigned resident_blocks(int threads, size_t shared) {
    constexpr int kDevices = 64;
    static std::atomic<unsigned> known[kDevices];
    int device = 0;
    check_cuda(cudaGetDevice(&device), "current device");
    const unsigned before = device < kDevices ? known[device].load() : 0;
    if (before != 0) return before;
    check_cuda(cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shared)),
               "shared memory of a block");
    int on_one = 0;
    int multiprocessors = 0;
    check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&on_one, kKernel, threads, shared),
               "resident blocks");
    check_cuda(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
               "number of multiprocessors");
    const auto blocks = static_cast<unsigned>(on_one * multiprocessors);
    if (device < kDevices) known[device] = blocks;
    return blocks;
}

}  // namespace keisei::batch
