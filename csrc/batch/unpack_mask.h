// Packed legal masks (27 labels a word) to one byte a label.
#pragma once

#include <cstdint>

namespace keisei::batch {

struct UnpackMaskArgs {
    const uint32_t* mask;  // [games, 81]
    uint8_t* legal;        // [games, 2187], 0 or 1, aligned to 16 bytes
    int64_t games;
};

void unpack_mask_cpu(const UnpackMaskArgs& args, int64_t begin, int64_t end);
void unpack_mask_cuda(const UnpackMaskArgs& args, void* stream);

}  // namespace keisei::batch
