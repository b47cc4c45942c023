#include "network/norm_relu.h"

#include <stdexcept>

namespace keisei::network {
namespace {

// Sums that are formed side by side: the order is the same whatever the processor.
constexpr int64_t kSums = 16;

template <typename T>
KEISEI_INSIDE void norm_relu_rows(const NormReluArgs& args, int64_t begin, int64_t end) {
    const auto* weight = static_cast<const T*>(args.weight);
    const auto* bias = static_cast<const T*>(args.bias);
    for (int64_t row = begin; row < end; ++row) {
        const T* x = static_cast<const T*>(args.x) + row * args.channels;
        T* out = static_cast<T*>(args.out) + row * args.channels;
        float sums[kSums] = {};
        int64_t c = 0;
        for (; c + kSums <= args.channels; c += kSums) {
            for (int64_t i = 0; i < kSums; ++i) {
                const float value = load(x + c + i);
                sums[i] += value * value;
            }
        }
        for (; c < args.channels; ++c) {
            const float value = load(x + c);
            sums[c % kSums] += value * value;
        }
        float sum = 0;
        for (const float part : sums) sum += part;
        const float scale =
            1.0f / std::sqrt(sum / static_cast<float>(args.channels) + kNormEpsilon);
        for (c = 0; c < args.channels; ++c) {
            const float value = load(x + c) * scale * load(weight + c) + load(bias + c);
            store(out + c, value <= 0.0f ? 0.0f : value);  // what is no number stays so
        }
    }
}

KEISEI_WIDE void norm_relu_float32(const NormReluArgs& args, int64_t begin, int64_t end) {
    norm_relu_rows<float>(args, begin, end);
}

KEISEI_WIDE void norm_relu_bfloat16(const NormReluArgs& args, int64_t begin, int64_t end) {
    norm_relu_rows<uint16_t>(args, begin, end);
}

}  // namespace

void norm_relu_cpu(const NormReluArgs& args, int64_t begin, int64_t end) {
    switch (args.number) {
        case Number::float32:
            return norm_relu_float32(args, begin, end);
        case Number::bfloat16:
            return norm_relu_bfloat16(args, begin, end);
        case Number::float16:
            throw std::invalid_argument("norm_relu: expected float32 or bfloat16, got float16");
    }
}

}  // namespace keisei::network
