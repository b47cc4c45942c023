#include "batch/legal_mask.h"

namespace keisei::batch {

KEISEI_FLAT void legal_mask_cpu(const LegalMaskArgs& args, int64_t begin, int64_t end) {
    for (int64_t game = begin; game < end; ++game) {
        legal_mask_game(args, game, reinterpret_cast<uint32_t*>(args.mask) + game * kMaskWords);
    }
}

}  // namespace keisei::batch
