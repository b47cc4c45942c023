// The legal labels of a packed mask, one after another.
#pragma once

#include "batch/layout.h"

namespace keisei::batch {

// Calls visit(label) for each legal label of a row, in order.
template <typename Visit>
KEISEI_HD void for_each_label(const uint32_t* mask, Visit visit) {
    for (int w = 0; w < kMaskWords; ++w) {
        for (uint32_t bits = mask_word(mask, w); bits != 0; bits &= bits - 1) {
            visit(w * shogi::kWordBits + shogi::lowest_bit(bits));
        }
    }
}

}  // namespace keisei::batch
