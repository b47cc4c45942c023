// x + y * sigmoid(gate) + shift, gate and shift one of each channel of a board: the end of a
// residual block with squeeze-and-excitation. Activations are rows of channels, as they lie in a
// channels-last tensor.
#pragma once

#include "network/number.h"

namespace keisei::network {

struct GatedSumArgs {
    const void* x;      // [boards, squares, channels]
    const void* y;      // [boards, squares, channels]
    const void* gates;  // [boards, 2, channels]: gate, shift
    void* out;          // [boards, squares, channels]
    int64_t boards;
    int64_t squares;
    int64_t channels;
    Number number;  // of all four
};

// Of boards [begin, end); float32 and bfloat16 alone.
void gated_sum_cpu(const GatedSumArgs& args, int64_t begin, int64_t end);
// On the current device; all pointers aligned to 16 bytes.
void gated_sum_cuda(const GatedSumArgs& args, void* stream);

}  // namespace keisei::network
