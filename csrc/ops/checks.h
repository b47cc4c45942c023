// What every op checks of its tensors, in the same words on every device. A failed check is a
// std::invalid_argument, which Python sees as a ValueError.
#pragma once

#include <torch/csrc/stable/device.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

namespace keisei::ops {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Sizes that an op takes as they come; error texts show their letters.
constexpr int64_t kGames = -1;
constexpr int64_t kSteps = -2;
constexpr int64_t kStepsAndOne = -3;
constexpr int64_t kStarts = -4;
constexpr int64_t kHistory = -5;
constexpr int64_t kRows = -6;
constexpr int64_t kBuckets = -7;

using Shape = std::initializer_list<int64_t>;

inline std::string dtype_text(ScalarType dtype) {
    switch (dtype) {
        case ScalarType::Bool:
            return "bool";
        case ScalarType::Byte:
            return "uint8";
        case ScalarType::Char:
            return "int8";
        case ScalarType::Short:
            return "int16";
        case ScalarType::Int:
            return "int32";
        case ScalarType::Long:
            return "int64";
        case ScalarType::UInt16:
            return "uint16";
        case ScalarType::UInt32:
            return "uint32";
        case ScalarType::UInt64:
            return "uint64";
        case ScalarType::Half:
            return "float16";
        case ScalarType::BFloat16:
            return "bfloat16";
        case ScalarType::Float:
            return "float32";
        case ScalarType::Double:
            return "float64";
        default:
            return torch::headeronly::toString(dtype);
    }
}

// "float32, float16 or bfloat16"
inline std::string dtypes_text(std::initializer_list<ScalarType> dtypes) {
    std::string out;
    size_t left = dtypes.size();
    for (const ScalarType dtype : dtypes) {
        --left;
        out += dtype_text(dtype) + (left > 1 ? ", " : left == 1 ? " or " : "");
    }
    return out;
}

inline std::string device_text(const torch::stable::Device& device) {
    using torch::headeronly::DeviceType;
    if (device.type() == DeviceType::CPU) return "cpu";
    const std::string name = device.type() == DeviceType::CUDA ? "cuda" : "another device";
    return device.has_index() ? name + ":" + std::to_string(device.index()) : name;
}

inline std::string size_text(int64_t size) {
    switch (size) {
        case kGames:
            return "N";
        case kSteps:
            return "T";
        case kStepsAndOne:
            return "T + 1";
        case kStarts:
            return "S";
        case kHistory:
            return "max_plies + 1";
        case kRows:
        case kBuckets:
            return "B";
        default:
            return std::to_string(size);
    }
}

template <typename Sizes>
std::string list_text(const Sizes& sizes) {
    std::string out = "[";
    const char* separator = "";
    for (const int64_t size : sizes) {
        out += separator + size_text(size);
        separator = ", ";
    }
    return out + "]";
}

inline std::string tensor_text(const Tensor& tensor, bool with_strides) {
    std::string out = dtype_text(tensor.scalar_type()) + " " + list_text(tensor.sizes());
    if (with_strides) out += " with strides " + list_text(tensor.strides());
    return out + " on " + device_text(tensor.device());
}

// Checks the arguments of one call, one by one, and hands out their data. All tensors must be on
// the device of the first; none that the op writes may share memory with another argument.
class Arguments {
 public:
    explicit Arguments(const Tensor& first) : device_(first.device()) {}

    template <typename T>
    const T* read(const Tensor& tensor, const char* name, ScalarType dtype, Shape shape) {
        require_contiguous(tensor, name, {dtype}, shape);
        return static_cast<const T*>(use(tensor, name, false));
    }

    // Of any of the three dtypes that networks put out.
    const void* read_logits(const Tensor& tensor, const char* name, Shape shape) {
        require_contiguous(tensor, name,
                           {ScalarType::Float, ScalarType::Half, ScalarType::BFloat16}, shape);
        return use(tensor, name, false);
    }

    // The same and float64: what a loss takes.
    const void* read_logits_or_double(const Tensor& tensor, const char* name, Shape shape) {
        require_contiguous(
            tensor, name,
            {ScalarType::Float, ScalarType::Half, ScalarType::BFloat16, ScalarType::Double}, shape);
        return use(tensor, name, false);
    }

    template <typename T>
    T* write(const Tensor& tensor, const char* name, ScalarType dtype, Shape shape) {
        require_contiguous(tensor, name, {dtype}, shape);
        return static_cast<T*>(use(tensor, name, true));
    }

    // The words of packed positions [N, 17], in rows or as the transposed word-major state.
    const int32_t* read_positions(const Tensor& tensor, const char* name, int64_t words,
                                  bool* word_major) {
        require(tensor, name, {ScalarType::Int}, {kGames, words});
        const int64_t games = tensor.size(0);
        const int64_t game_stride = tensor.stride(0);
        const int64_t word_stride = tensor.stride(1);
        const bool rows = word_stride == 1 && (game_stride == words || games <= 1);
        const bool transposed = word_stride == games && (game_stride == 1 || games <= 1);
        if (games > 0 && !rows && !transposed) {
            fail(tensor, name,
                 "int32 " + list_text(Shape{games, words}) + " with strides " +
                     list_text(Shape{words, 1}) + " or " + list_text(Shape{1, games}),
                 true);
        }
        *word_major = !rows;
        return static_cast<const int32_t*>(use(tensor, name, false));
    }

    // Throws unless dtype (one of those given), shape and device are as said; strides may be any.
    void require(const Tensor& tensor, const char* name, std::initializer_list<ScalarType> dtypes,
                 Shape shape) const {
        bool fits = tensor.dim() == static_cast<int64_t>(shape.size()) && on_device(tensor);
        bool known = false;
        for (const ScalarType dtype : dtypes) known = known || tensor.scalar_type() == dtype;
        int64_t axis = 0;
        for (const int64_t size : shape) {
            fits = fits && (size < 0 || tensor.size(axis) == size);
            ++axis;
        }
        if (!fits || !known) {
            fail(tensor, name, dtypes_text(dtypes) + " " + list_text(shape), false);
        }
    }

    void require_contiguous(const Tensor& tensor, const char* name,
                            std::initializer_list<ScalarType> dtypes, Shape shape) const {
        require(tensor, name, dtypes, shape);
        if (!tensor.is_contiguous()) {
            fail(tensor, name, "contiguous " + dtypes_text(dtypes) + " " + list_text(shape), true);
        }
    }

    // Throws if a written argument overlaps another one. Call it once all have been handed out.
    void require_apart() const {
        for (size_t i = 0; i < used_.size(); ++i) {
            for (size_t j = 0; j < i; ++j) {
                const Used& a = used_[j];
                const Used& b = used_[i];
                if ((a.written || b.written) && a.begin < b.end && b.begin < a.end) {
                    throw std::invalid_argument(std::string(b.name) +
                                                ": expected memory of its own, got memory shared "
                                                "with " +
                                                a.name);
                }
            }
        }
    }

 private:
    struct Used {
        const char* name;
        const std::byte* begin;
        const std::byte* end;
        bool written;
    };

    bool on_device(const Tensor& tensor) const {
        const torch::stable::Device device = tensor.device();
        return device.type() == device_.type() && device.index() == device_.index();
    }

    void* use(const Tensor& tensor, const char* name, bool written) {
        void* data = tensor.data_ptr();
        const auto* begin = static_cast<const std::byte*>(data);
        used_.push_back({name, begin,
                         begin + static_cast<size_t>(tensor.numel()) * tensor.element_size(),
                         written});
        return data;
    }

    [[noreturn]] void fail(const Tensor& tensor, const char* name, const std::string& expected,
                           bool with_strides) const {
        throw std::invalid_argument(std::string(name) + ": expected " + expected + " on " +
                                    device_text(device_) + ", got " +
                                    tensor_text(tensor, with_strides));
    }

    torch::stable::Device device_;
    std::vector<Used> used_;
};

}  // namespace keisei::ops
