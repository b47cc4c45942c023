// relu(x / rms(x) * weight + bias), the root mean square over the channels of each square: what
// stands before a convolution of the residual network. Activations are rows of channels, as they
// lie in a channels-last tensor.
#pragma once

#include "network/number.h"

namespace keisei::network {

inline constexpr float kNormEpsilon = 1e-5f;  // added to the mean square

struct NormReluArgs {
    const void* x;       // [rows, channels]
    const void* weight;  // [channels]
    const void* bias;    // [channels]
    void* out;           // [rows, channels]
    int64_t rows;
    int64_t channels;
    Number number;  // of all four
};

// Of rows [begin, end); float32 and bfloat16 alone.
void norm_relu_cpu(const NormReluArgs& args, int64_t begin, int64_t end);
// On the current device; all pointers aligned to 16 bytes.
void norm_relu_cuda(const NormReluArgs& args, void* stream);

}  // namespace keisei::network
