// Positions and the labels played in them, some of them mirrored left to right.
#pragma once

#include "batch/layout.h"
#include "shogi/mirror.h"

namespace keisei::batch {

struct MirrorArgs {
    PositionsView positions;
    const int64_t* actions;  // [rows]; one that is no label stays as it is
    const uint8_t* flip;     // [rows]; 0: the row is copied
    int32_t* mirrored;       // [rows, 17]
    int64_t* labels;         // [rows]
    int64_t rows;
};

inline namespace KEISEI_BITBOARD_FORM {

KEISEI_HD void mirror_row(const MirrorArgs& args, int64_t row) {
    const shogi::Position position = load_position(args.positions, row);
    const bool flip = args.flip[row] != 0;
    store_position(args.mirrored, kPositionWords, 1, row,
                   flip ? shogi::mirrored(position) : position);
    args.labels[row] = flip ? shogi::mirrored_label(args.actions[row]) : args.actions[row];
}

}  // namespace KEISEI_BITBOARD_FORM

void mirror_cpu(const MirrorArgs& args, int64_t begin, int64_t end);
void mirror_cuda(const MirrorArgs& args, void* stream);

}  // namespace keisei::batch
