#include "engine/fused_layers.h"

#include <ATen/Parallel.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/subgraph_matcher.h>
#include <torch/csrc/jit/passes/subgraph_rewrite.h>
#include <torch/library.h>
#include <torch/script.h>

#ifdef KEISEI_HAVE_CUDA
#include <c10/cuda/CUDAStream.h>
#endif

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "network/gated_sum.h"
#include "network/norm_relu.h"

namespace keisei::engine {
namespace {

using torch::Tensor;

// ResidualBlock and ChannelNorm of keisei/core/network.py, as they are traced.
constexpr const char* kNormRelu = R"(
graph(%x, %weight, %bias, %dims, %keep, %dtype, %epsilon, %one_a, %shape_a, %shape_b, %one_b):
  %square = aten::square(%x)
  %mean = aten::mean(%square, %dims, %keep, %dtype)
  %sum = aten::add(%mean, %epsilon, %one_a)
  %root = aten::rsqrt(%sum)
  %scale = aten::type_as(%root, %x)
  %weight_as = aten::type_as(%weight, %x)
  %weight_at = aten::view(%weight_as, %shape_a)
  %bias_as = aten::type_as(%bias, %x)
  %bias_at = aten::view(%bias_as, %shape_b)
  %unit = aten::mul(%x, %scale)
  %norm = aten::addcmul(%bias_at, %unit, %weight_at, %one_b)
  %out = aten::relu(%norm)
  return (%out))";
constexpr const char* kNormReluFused = R"(
graph(%x, %weight, %bias, %dims, %keep, %dtype, %epsilon, %one_a, %shape_a, %shape_b, %one_b):
  %out = keisei_play::norm_relu(%x, %weight, %bias)
  return (%out))";

constexpr const char* kGatedSum = R"(
graph(%x, %y, %gates, %two_a, %one_a, %zero, %one_b, %end, %two_b, %three, %one_c, %one_d):
  %both = aten::chunk(%gates, %two_a, %one_a)
  %gate : Tensor, %shift : Tensor = prim::ListUnpack(%both)
  %shift_a = aten::slice(%shift, %zero, %zero, %end, %one_b)
  %shift_b = aten::slice(%shift_a, %one_b, %zero, %end, %one_b)
  %shift_c = aten::unsqueeze(%shift_b, %two_b)
  %shift_d = aten::unsqueeze(%shift_c, %three)
  %open = aten::sigmoid(%gate)
  %open_a = aten::slice(%open, %zero, %zero, %end, %one_b)
  %open_b = aten::slice(%open_a, %one_b, %zero, %end, %one_b)
  %open_c = aten::unsqueeze(%open_b, %two_b)
  %open_d = aten::unsqueeze(%open_c, %three)
  %gated = aten::addcmul(%shift_d, %y, %open_d, %one_c)
  %out = aten::add(%x, %gated, %one_d)
  return (%out))";
constexpr const char* kGatedSumFused = R"(
graph(%x, %y, %gates, %two_a, %one_a, %zero, %one_b, %end, %two_b, %three, %one_c, %one_d):
  %out = keisei_play::gated_sum(%x, %y, %gates)
  return (%out))";

// The number that the kernels know x's elements as; none: they do not.
std::optional<network::Number> number_of(const Tensor& x) {
    if (x.scalar_type() == torch::kFloat) return network::Number::float32;
    if (x.scalar_type() == torch::kBFloat16) return network::Number::bfloat16;
    if (x.scalar_type() == torch::kHalf && x.is_cuda()) return network::Number::float16;
    return std::nullopt;
}

bool is_like(const Tensor& one, const Tensor& x, torch::IntArrayRef shape) {
    return one.sizes() == shape && one.device() == x.device() &&
           one.scalar_type() == x.scalar_type();
}

// As the kernels read it: rows of channels, and of what has no squares, in its own order; from an
// address that a whole pack may be loaded from.
Tensor dense(const Tensor& any) {
    constexpr uintptr_t kAlignment = 16;
    const Tensor x = any.contiguous(any.dim() == 4 ? torch::MemoryFormat::ChannelsLast
                                                   : torch::MemoryFormat::Contiguous);
    const bool aligned = reinterpret_cast<uintptr_t>(x.const_data_ptr()) % kAlignment == 0;
    return aligned ? x : x.clone();
}

int64_t grain(int64_t elements_each) {
    constexpr int64_t kElements = 32768;  // as torch's own
    return std::max<int64_t>(1, kElements / std::max<int64_t>(1, elements_each));
}

// The chain itself. Another network may have it with other shapes, which follow from each other as
// those of any tensors do, or with more than one type.
Tensor norm_relu_by_chain(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const Tensor mean = x.square().mean(1, /*keepdim=*/true, torch::kFloat);
    const Tensor scale = (mean + network::kNormEpsilon).rsqrt().type_as(x);
    const auto by_channel = [&](const Tensor& one) { return one.type_as(x).view({1, -1, 1, 1}); };
    return torch::relu(torch::addcmul(by_channel(bias), x * scale, by_channel(weight)));
}

Tensor gated_sum_by_chain(const Tensor& x, const Tensor& y, const Tensor& gates) {
    const auto both = gates.chunk(2, 1);
    const auto of_board = [](const Tensor& one) { return one.unsqueeze(2).unsqueeze(3); };
    return x + torch::addcmul(of_board(both.at(1)), y, of_board(both.at(0).sigmoid()));
}

// `run(args)` does it all.
template <typename Run>
Tensor norm_relu(const Tensor& any_x, const Tensor& any_weight, const Tensor& any_bias,
                 const Run& run) {
    const auto number = number_of(any_x);
    if (!number || any_x.dim() != 4 || !is_like(any_weight, any_x, {any_x.size(1)}) ||
        !is_like(any_bias, any_x, {any_x.size(1)})) {
        return norm_relu_by_chain(any_x, any_weight, any_bias);
    }
    const Tensor x = dense(any_x);
    const Tensor weight = dense(any_weight);
    const Tensor bias = dense(any_bias);
    Tensor out = torch::empty_like(x);
    run(network::NormReluArgs{.x = x.const_data_ptr(),
                              .weight = weight.const_data_ptr(),
                              .bias = bias.const_data_ptr(),
                              .out = out.mutable_data_ptr(),
                              .rows = x.size(0) * x.size(2) * x.size(3),
                              .channels = x.size(1),
                              .number = *number});
    return out;
}

template <typename Run>
Tensor gated_sum(const Tensor& any_x, const Tensor& any_y, const Tensor& any_gates,
                 const Run& run) {
    const auto number = number_of(any_x);
    if (!number || any_x.dim() != 4 || !is_like(any_y, any_x, any_x.sizes()) ||
        !is_like(any_gates, any_x, {any_x.size(0), 2 * any_x.size(1)})) {
        return gated_sum_by_chain(any_x, any_y, any_gates);
    }
    const Tensor x = dense(any_x);
    const Tensor y = dense(any_y);
    const Tensor gates = dense(any_gates);
    Tensor out = torch::empty_like(x);
    run(network::GatedSumArgs{.x = x.const_data_ptr(),
                              .y = y.const_data_ptr(),
                              .gates = gates.const_data_ptr(),
                              .out = out.mutable_data_ptr(),
                              .boards = x.size(0),
                              .squares = x.size(2) * x.size(3),
                              .channels = x.size(1),
                              .number = *number});
    return out;
}

Tensor norm_relu_on_cpu(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    return norm_relu(x, weight, bias, [](const network::NormReluArgs& args) {
        at::parallel_for(0, args.rows, grain(args.channels), [&](int64_t begin, int64_t end) {
            network::norm_relu_cpu(args, begin, end);
        });
    });
}

Tensor gated_sum_on_cpu(const Tensor& x, const Tensor& y, const Tensor& gates) {
    return gated_sum(x, y, gates, [](const network::GatedSumArgs& args) {
        at::parallel_for(
            0, args.boards, grain(args.squares * args.channels),
            [&](int64_t begin, int64_t end) { network::gated_sum_cpu(args, begin, end); });
    });
}

TORCH_LIBRARY(keisei_play, library) {
    library.def("norm_relu(Tensor x, Tensor weight, Tensor bias) -> Tensor");
    library.def("gated_sum(Tensor x, Tensor y, Tensor gates) -> Tensor");
}

TORCH_LIBRARY_IMPL(keisei_play, CPU, library) {
    library.impl("norm_relu", norm_relu_on_cpu);
    library.impl("gated_sum", gated_sum_on_cpu);
}

#ifdef KEISEI_HAVE_CUDA
void* stream_of(const Tensor& x) {
    return c10::cuda::getCurrentCUDAStream(x.device().index()).stream();
}

Tensor norm_relu_on_cuda(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    return norm_relu(x, weight, bias, [&](const network::NormReluArgs& args) {
        network::norm_relu_cuda(args, stream_of(x));
    });
}

Tensor gated_sum_on_cuda(const Tensor& x, const Tensor& y, const Tensor& gates) {
    return gated_sum(x, y, gates, [&](const network::GatedSumArgs& args) {
        network::gated_sum_cuda(args, stream_of(x));
    });
}

TORCH_LIBRARY_IMPL(keisei_play, CUDA, library) {
    library.impl("norm_relu", norm_relu_on_cuda);
    library.impl("gated_sum", gated_sum_on_cuda);
}
#endif

// The constants that a chain has to have: by the name in the pattern.
using Constants = std::unordered_map<std::string, torch::IValue>;

bool is_constant(const torch::jit::Value* value, const torch::IValue& expected) {
    const auto got = torch::jit::toIValue(value);
    if (!got) return false;
    if (expected.isDouble()) {
        return got->isTensor() && got->toTensor().dim() == 0 &&
               got->toTensor().item<float>() == static_cast<float>(expected.toDouble());
    }
    if (expected.isIntList()) {
        return got->isIntList() && got->toIntVector() == expected.toIntVector();
    }
    if (expected.isBool()) return got->isBool() && got->toBool() == expected.toBool();
    return got->isInt() && got->toInt() == expected.toInt();
}

void replace(std::shared_ptr<torch::jit::Graph>& graph, const char* chain, const char* fused,
             const Constants& constants) {
    const auto filter = [&](const torch::jit::Match& match,
                            const std::unordered_map<std::string, torch::jit::Value*>& names) {
        return std::ranges::all_of(constants, [&](const auto& constant) {
            return is_constant(match.values_map.at(names.at(constant.first)), constant.second);
        });
    };
    torch::jit::SubgraphRewriter rewriter;
    rewriter.RegisterRewritePattern(chain, fused);
    rewriter.runOnGraph(graph, filter);
}

}  // namespace

int fuse_layers(std::shared_ptr<torch::jit::Graph>& graph) {
    const std::vector<int64_t> by_channel = {1, -1, 1, 1};
    replace(graph, kNormRelu, kNormReluFused,
            {{"dims", std::vector<int64_t>{1}},
             {"keep", true},
             {"dtype", static_cast<int64_t>(torch::kFloat)},
             {"epsilon", static_cast<double>(network::kNormEpsilon)},
             {"one_a", 1},
             {"one_b", 1},
             {"shape_a", by_channel},
             {"shape_b", by_channel}});
    replace(graph, kGatedSum, kGatedSumFused,
            {{"two_a", 2},
             {"one_a", 1},
             {"zero", 0},
             {"one_b", 1},
             {"end", INT64_MAX},
             {"two_b", 2},
             {"three", 3},
             {"one_c", 1},
             {"one_d", 1}});
    int fused = 0;
    for (const torch::jit::Node* node : graph->nodes()) {
        const std::string_view kind = node->kind().toQualString();
        fused += kind.starts_with("keisei_play::") ? 1 : 0;
    }
    return fused;
}

}  // namespace keisei::engine
