// Numbers that a thread loads and stores at once.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <stdexcept>

#include "network/number.h"

namespace keisei::network {

inline constexpr int kPackBytes = 16;

__device__ inline float to_float(float value) {
    return value;
}
__device__ inline float to_float(__nv_bfloat16 value) {
    return __bfloat162float(value);
}
__device__ inline float to_float(__half value) {
    return __half2float(value);
}

template <typename T>
__device__ T from_float(float value) {
    if constexpr (sizeof(T) == sizeof(float)) {
        return value;
    } else {
        return static_cast<T>(value);
    }
}

template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
    T of[kCount];

    __device__ static Pack load(const void* from, int64_t at) {
        return *reinterpret_cast<const Pack*>(static_cast<const T*>(from) + at);
    }
    __device__ void store(void* to, int64_t at) const {
        *reinterpret_cast<Pack*>(static_cast<T*>(to) + at) = *this;
    }
};

// Calls `launch.template operator()<T, kCount>()` for the type of the numbers and the largest pack
// that rows of so many channels are made of. All pointers are aligned to kPackBytes.
template <typename Launch>
void with_pack(Number number, int64_t channels, const Launch& launch) {
    const auto of = [&]<typename T>() {
        constexpr int kMost = kPackBytes / sizeof(T);
        if (channels % kMost == 0) {
            launch.template operator()<T, kMost>();
        } else {
            launch.template operator()<T, 1>();
        }
    };
    switch (number) {
        case Number::float32:
            return of.template operator()<float>();
        case Number::bfloat16:
            return of.template operator()<__nv_bfloat16>();
        case Number::float16:
            return of.template operator()<__half>();
    }
    throw std::invalid_argument("number: expected float32, bfloat16 or float16, got another");
}

}  // namespace keisei::network
