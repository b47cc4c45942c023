// The packed legal masks of many positions.
#pragma once

#include "batch/layout.h"

namespace keisei::batch {

struct LegalMaskArgs {
    PositionsView positions;
    int32_t* mask;  // [games, 81]
    int64_t games;
};

inline namespace KEISEI_BITBOARD_FORM {

// Writes the 81 words of one position's mask.
KEISEI_HD void legal_mask_game(const LegalMaskArgs& args, int64_t game, uint32_t* row) {
    shogi::for_each_legal_plane(
        load_position(args.positions, game),
        [&](int plane, const shogi::Bitboard& to) { to.store(row + 3 * plane); });
}

}  // namespace KEISEI_BITBOARD_FORM

void legal_mask_cpu(const LegalMaskArgs& args, int64_t begin, int64_t end);
void legal_mask_cuda(const LegalMaskArgs& args, void* stream);

}  // namespace keisei::batch
