// The feature planes of many positions, in the network's dtype and memory format.
#pragma once

#include "batch/layout.h"
#include "shogi/planes.h"

namespace keisei::batch {

enum class PlaneType { float32, float64, float16, bfloat16, uint8 };

struct PlanesArgs {
    PositionsView positions;
    // [games, channels, 9 files, 9 ranks], or [games, 9, 9, channels] if channels_last.
    void* planes;
    PlaneType type;
    bool channels_last;
    int channels;  // 121, or with channels_last kPaddedPlanes, the last ones 0
    int64_t games;
};

constexpr int kPlaneElements = shogi::kFeaturePlanes * shogi::kSquares;

// Matrix units take channels by eights, and 121 of them only after a copy.
constexpr int kPaddedPlanes = 128;

// The bits of 1 in the 16-bit types; 0 is 0 in all of them.
constexpr uint16_t kFloat16One = 0x3c00;
constexpr uint16_t kBfloat16One = 0x3f80;

void planes_cpu(const PlanesArgs& args, int64_t begin, int64_t end);
void planes_cuda(const PlanesArgs& args, void* stream);

}  // namespace keisei::batch
