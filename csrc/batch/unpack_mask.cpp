#include "batch/unpack_mask.h"

#include "shogi/legal.h"

namespace keisei::batch {

void unpack_mask_cpu(const UnpackMaskArgs& args, int64_t begin, int64_t end) {
    for (int64_t word = begin * shogi::kMaskWords; word < end * shogi::kMaskWords; ++word) {
        const uint32_t bits = args.mask[word];
        uint8_t* out = args.legal + word * shogi::kWordBits;
        for (int bit = 0; bit < shogi::kWordBits; ++bit) out[bit] = (bits >> bit) & 1u;
    }
}

}  // namespace keisei::batch
