#include "batch/planes.h"

#include <algorithm>

namespace keisei::batch {
namespace {

// Most elements are 0: clear, then visit the set bits only.
template <typename T>
void write_planes(const PlanesArgs& args, int64_t begin, int64_t end, T one) {
    const int plane_stride = args.channels_last ? 1 : shogi::kSquares;
    const int square_stride = args.channels_last ? shogi::kFeaturePlanes : 1;
    for (int64_t game = begin; game < end; ++game) {
        shogi::Bitboard planes[shogi::kFeaturePlanes];
        shogi::feature_planes(load_position(args.positions, game), planes);
        T* const out = static_cast<T*>(args.planes) + game * kPlaneElements;
        std::fill_n(out, kPlaneElements, T{0});
        for (int plane = 0; plane < shogi::kFeaturePlanes; ++plane) {
            for (int w = 0; w < 3; ++w) {
                T* const at = out + plane * plane_stride + w * shogi::kWordBits * square_stride;
                for (uint32_t bits = planes[plane].word(w); bits != 0; bits &= bits - 1) {
                    at[shogi::lowest_bit(bits) * square_stride] = one;
                }
            }
        }
    }
}

}  // namespace

void planes_cpu(const PlanesArgs& args, int64_t begin, int64_t end) {
    switch (args.type) {
        case PlaneType::float32:
            return write_planes<float>(args, begin, end, 1.0f);
        case PlaneType::float64:
            return write_planes<double>(args, begin, end, 1.0);
        case PlaneType::float16:
            return write_planes<uint16_t>(args, begin, end, kFloat16One);
        case PlaneType::bfloat16:
            return write_planes<uint16_t>(args, begin, end, kBfloat16One);
        case PlaneType::uint8:
            return write_planes<uint8_t>(args, begin, end, 1);
    }
}

}  // namespace keisei::batch
