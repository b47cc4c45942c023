#include "batch/unpack_mask.h"

#include <cstring>

#include "batch/layout.h"
#include "batch/spread_bits.h"

namespace keisei::batch {

void unpack_mask_cpu(const UnpackMaskArgs& args, int64_t begin, int64_t end) {
    const auto unpack = [](uint32_t word, uint8_t* to) {
        using Lanes = uint32_t __attribute__((vector_size(16)));
        const auto packed = reinterpret_cast<Bytes>(Lanes{word, 0, 0, 0});
        const Bytes low = spread_bits<0>(packed);
        const Bytes high = spread_bits<2>(packed);
        std::memcpy(to, &low, sizeof(low));
        std::memcpy(to + sizeof(low), &high, sizeof(high));
    };
    // Each word writes 32 bytes, of which the next one overwrites five; behind the last one of a
    // range another thread's games begin.
    const int64_t last = end * kMaskWords - 1;
    for (int64_t word = begin * kMaskWords; word < last; ++word) {
        unpack(args.mask[word], args.legal + word * shogi::kWordBits);
    }
    if (last < begin * kMaskWords) return;
    uint8_t tail[2 * sizeof(Bytes)];
    unpack(args.mask[last], tail);
    std::memcpy(args.legal + last * shogi::kWordBits, tail, shogi::kWordBits);
}

}  // namespace keisei::batch
