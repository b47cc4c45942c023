#include "network/gated_sum.h"

#include <stdexcept>
#include <vector>

namespace keisei::network {
namespace {

template <typename T>
KEISEI_INSIDE void gated_sum_boards(const GatedSumArgs& args, int64_t begin, int64_t end,
                                    float* open, float* shift) {
    const int64_t channels = args.channels;
    for (int64_t board = begin; board < end; ++board) {
        const T* gates = static_cast<const T*>(args.gates) + board * 2 * channels;
        for (int64_t c = 0; c < channels; ++c) {
            open[c] = 1.0f / (1.0f + std::exp(-load(gates + c)));
            shift[c] = load(gates + channels + c);
        }
        for (int64_t row = board * args.squares; row < (board + 1) * args.squares; ++row) {
            const T* x = static_cast<const T*>(args.x) + row * channels;
            const T* y = static_cast<const T*>(args.y) + row * channels;
            T* out = static_cast<T*>(args.out) + row * channels;
            for (int64_t c = 0; c < channels; ++c) {
                store(out + c, load(x + c) + (load(y + c) * open[c] + shift[c]));
            }
        }
    }
}

KEISEI_WIDE void gated_sum_float32(const GatedSumArgs& args, int64_t begin, int64_t end,
                                   float* open, float* shift) {
    gated_sum_boards<float>(args, begin, end, open, shift);
}

KEISEI_WIDE void gated_sum_bfloat16(const GatedSumArgs& args, int64_t begin, int64_t end,
                                    float* open, float* shift) {
    gated_sum_boards<uint16_t>(args, begin, end, open, shift);
}

}  // namespace

void gated_sum_cpu(const GatedSumArgs& args, int64_t begin, int64_t end) {
    std::vector<float> open(static_cast<std::size_t>(args.channels));
    std::vector<float> shift(static_cast<std::size_t>(args.channels));
    switch (args.number) {
        case Number::float32:
            return gated_sum_float32(args, begin, end, open.data(), shift.data());
        case Number::bfloat16:
            return gated_sum_bfloat16(args, begin, end, open.data(), shift.data());
        case Number::float16:
            throw std::invalid_argument("gated_sum: expected float32 or bfloat16, got float16");
    }
}

}  // namespace keisei::network
