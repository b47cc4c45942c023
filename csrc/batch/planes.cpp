#include "batch/planes.h"

#include <algorithm>
#include <cstring>

#include "batch/spread_bits.h"

namespace keisei::batch {
namespace {

constexpr int kChunk = 16;
constexpr int kBytesWritten = (shogi::kSquares + kChunk - 1) / kChunk * kChunk;

// The squares of a plane as bytes 0 and 1. Writes whole chunks: 96 bytes, the last 15 of them 0.
void write_bytes(const shogi::Bitboard& plane, uint8_t* out) {
    const uint64_t top = plane.word(2);
    using Halves = uint64_t __attribute__((vector_size(16)));
    const auto packed = reinterpret_cast<Bytes>(
        Halves{plane.word(0) | static_cast<uint64_t>(plane.word(1)) << shogi::kWordBits |
                   top << (2 * shogi::kWordBits),
               top >> (64 - 2 * shogi::kWordBits)});
    const auto chunk = [&]<int i>() {
        const Bytes ones = spread_bits<2 * i>(packed);
        std::memcpy(out + i * kChunk, &ones, sizeof(ones));
    };
    chunk.operator()<0>();
    chunk.operator()<1>();
    chunk.operator()<2>();
    chunk.operator()<3>();
    chunk.operator()<4>();
    chunk.operator()<5>();
}

// From here on a plane is all 0 or all 1: hands, check, occurrences.
constexpr int kWhole = shogi::kHandPlane;

bool is_filled(const shogi::Bitboard& whole) {
    return whole.word(0) != 0;
}

void write_whole(bool filled, uint8_t* out) {
    const Bytes ones = Bytes{} + static_cast<uint8_t>(filled);
    for (int i = 0; i < kBytesWritten; i += kChunk) std::memcpy(out + i, &ones, sizeof(ones));
}

// Plane after plane. The surplus of each is overwritten by the next one.
void write_all_bytes(const shogi::Bitboard* planes, uint8_t* out) {
    constexpr int kLast = shogi::kFeaturePlanes - 1;
    for (int plane = 0; plane < kWhole; ++plane) {
        write_bytes(planes[plane], out + plane * shogi::kSquares);
    }
    for (int plane = kWhole; plane < kLast; ++plane) {
        write_whole(is_filled(planes[plane]), out + plane * shogi::kSquares);
    }
    std::fill_n(out + kLast * shogi::kSquares, shogi::kSquares, uint8_t{is_filled(planes[kLast])});
}

// Most elements are 0: clear all, copy the whole planes to every square, and of the others visit
// the set bits only.
template <typename T>
void write_channels_last(const shogi::Bitboard* planes, T* out, T one, int channels) {
    std::fill_n(out, channels * shogi::kSquares, T{0});
    T whole[shogi::kFeaturePlanes - kWhole];
    for (int plane = kWhole; plane < shogi::kFeaturePlanes; ++plane) {
        whole[plane - kWhole] = is_filled(planes[plane]) ? one : T{0};
    }
    for (int i = 0; i < shogi::kSquares; ++i) {
        std::memcpy(out + i * channels + kWhole, whole, sizeof(whole));
    }
    for (int plane = 0; plane < kWhole; ++plane) {
        for (int w = 0; w < 3; ++w) {
            T* const at = out + plane + w * shogi::kWordBits * channels;
            for (uint32_t bits = planes[plane].word(w); bits != 0; bits &= bits - 1) {
                at[shogi::lowest_bit(bits) * channels] = one;
            }
        }
    }
}

template <typename T>
void write_planes(const PlanesArgs& args, int64_t begin, int64_t end, T one) {
    for (int64_t game = begin; game < end; ++game) {
        shogi::Bitboard planes[shogi::kFeaturePlanes];
        shogi::feature_planes(load_position(args.positions, game), planes);
        T* const out =
            static_cast<T*>(args.planes) + game * args.channels * int64_t{shogi::kSquares};
        if (args.channels_last) {
            write_channels_last(planes, out, one, args.channels);
        } else if constexpr (sizeof(T) == 1) {
            write_all_bytes(planes, out);
        } else {
            uint8_t bytes[kPlaneElements];
            write_all_bytes(planes, bytes);
            for (int i = 0; i < kPlaneElements; ++i) out[i] = bytes[i] != 0 ? one : T{0};
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
