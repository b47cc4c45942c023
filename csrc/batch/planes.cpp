#include "batch/planes.h"

namespace keisei::batch {
namespace {

template <typename T>
void write_planes(const PlanesArgs& args, int64_t begin, int64_t end, T one) {
    for (int64_t game = begin; game < end; ++game) {
        shogi::Bitboard planes[shogi::kFeaturePlanes];
        shogi::feature_planes(load_position(args.positions, game), planes);
        T* const out = static_cast<T*>(args.planes) + game * kPlaneElements;
        for (int i = 0; i < kPlaneElements; ++i) {
            out[i] = plane_element(planes, i, args.channels_last) ? one : T{0};
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
    }
}

}  // namespace keisei::batch
