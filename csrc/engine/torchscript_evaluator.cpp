#include "engine/torchscript_evaluator.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/cuda.h>
#include <torch/script.h>

#include <cmath>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "engine/manifest.h"
#include "shogi/planes.h"

namespace keisei::engine {
namespace {

using shogi::kFeaturePlanes;
using shogi::kLabels;
using shogi::kSquares;

// libtorch appends a backtrace to what it throws.
std::string first_line(const std::exception& e) {
    const std::string_view text = e.what();
    return std::string(text.substr(0, text.find('\n')));
}

// libtorch prints warnings to stderr, which a GUI may never read.
class WarningsToOutput final : public c10::WarningHandler {
 public:
    explicit WarningsToOutput(UsiOutput& output) : output_(output) {}
    void process(const c10::Warning& warning) override {
        output_.info_string("libtorch warns: " + warning.msg());
    }

 private:
    UsiOutput& output_;
};

torch::Device device_of(const std::string& text) {
    const bool has_cuda = torch::cuda::is_available();
    if (text == "auto") return has_cuda ? torch::kCUDA : torch::kCPU;
    const torch::Device device(text);
    if (device.is_cuda() && !has_cuda) {
        throw std::runtime_error("Device: expected a CUDA device for '" + text +
                                 "', got none (no GPU, no driver, or a CPU build of torch)");
    }
    return device;
}

torch::ScalarType dtype_of(const std::string& precision) {
    if (precision == "bf16") return torch::kBFloat16;
    if (precision == "fp16") return torch::kHalf;
    return torch::kFloat;
}

// float32 [N, planes, 9, 9] of zeros and ones, on the CPU.
torch::Tensor planes_of(std::span<const shogi::Position> positions) {
    const auto count = static_cast<int64_t>(positions.size());
    torch::Tensor planes = torch::empty({count, kFeaturePlanes, shogi::kFiles, shogi::kRanks});
    float* out = planes.data_ptr<float>();
    for (const auto& position : positions) {
        shogi::Bitboard features[kFeaturePlanes];
        shogi::feature_planes(position, features);
        for (const auto& plane : features) {
            for (int square = 0; square < kSquares; ++square) {
                *out++ = plane.test(square) ? 1.0f : 0.0f;
            }
        }
    }
    return planes;
}

std::string read_manifest(const std::string& path) {
    caffe2::serialize::PyTorchStreamReader reader(path);
    if (!reader.hasRecord(kManifestRecord)) {
        throw std::runtime_error(
            "manifest: expected one in the file, got none; make the file with keisei-export");
    }
    const auto [data, size] = reader.getRecord(kManifestRecord);
    return {static_cast<const char*>(data.get()), size};
}

class TorchScriptEvaluator final : public Evaluator {
 public:
    TorchScriptEvaluator(const std::string& path, const std::string& device,
                         const std::string& precision, UsiOutput& output)
        : warnings_(output) {
        const c10::WarningUtils::WarningHandlerGuard guard(&warnings_);
        check_manifest(read_manifest(path));
        device_ = device_of(device);
        dtype_ = dtype_of(precision);
        module_ = torch::jit::load(path, device_);
        module_.eval();
        module_.to(device_, dtype_);
        module_ = torch::jit::freeze(module_);
        const shogi::Position start = shogi::startpos();
        std::vector<float> logits(kLabels);
        std::vector<float> values(1);
        forward({&start, 1}, logits, values);
        description_ = device_.str() + " in " + precision;
        output.info_string("model " + path + " on " + description_);
    }

    int best_batch() const override { return device_.is_cuda() ? 128 : 8; }
    std::string describe() const override { return description_; }

    void evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                  std::span<float> values) override {
        const c10::WarningUtils::WarningHandlerGuard guard(&warnings_);
        const std::lock_guard lock(mutex_);
        try {
            forward(positions, logits, values);
        } catch (const std::exception& e) {
            throw std::runtime_error("evaluation: " + first_line(e));
        }
    }

 private:
    void forward(std::span<const shogi::Position> positions, std::span<float> logits,
                 std::span<float> values) {
        if (positions.empty()) return;
        const c10::InferenceMode inference;
        // The optimising executor takes seconds to specialise and is no faster afterwards.
        const torch::jit::GraphOptimizerEnabledGuard plain(false);
        const auto count = static_cast<int64_t>(positions.size());
        const torch::IValue result = module_.forward({planes_of(positions).to(device_, dtype_)});
        if (!result.isTuple() || result.toTupleRef().elements().size() != 2) {
            throw std::runtime_error("forward: expected a pair (logits, value)");
        }
        const auto& pair = result.toTupleRef().elements();
        store(pair[0], "logits", {count, kLabels}, logits);
        store(pair[1], "value", {count}, values);
    }

    static void store(const torch::IValue& from, const std::string& name,
                      std::vector<int64_t> shape, std::span<float> to) {
        if (!from.isTensor() || from.toTensor().sizes() != torch::IntArrayRef(shape)) {
            throw std::runtime_error(
                "forward " + name + ": expected a tensor " + c10::str(torch::IntArrayRef(shape)) +
                ", got " + (from.isTensor() ? c10::str(from.toTensor().sizes()) : from.tagKind()));
        }
        const torch::Tensor numbers = from.toTensor().to(torch::kCPU, torch::kFloat).contiguous();
        const float* begin = numbers.data_ptr<float>();
        for (std::size_t i = 0; i < to.size(); ++i) {
            if (!std::isfinite(begin[i])) {
                throw std::runtime_error("forward " + name + ": expected finite numbers, got " +
                                         std::to_string(begin[i]));
            }
            to[i] = begin[i];
        }
    }

    std::mutex mutex_;
    WarningsToOutput warnings_;
    torch::Device device_ = torch::kCPU;
    torch::ScalarType dtype_ = torch::kFloat;
    torch::jit::Module module_;
    std::string description_;
};

}  // namespace

std::unique_ptr<Evaluator> load_torchscript(const std::string& path, const std::string& device,
                                            const std::string& precision, UsiOutput& output) {
    try {
        return std::make_unique<TorchScriptEvaluator>(path, device, precision, output);
    } catch (const std::exception& e) {
        throw std::runtime_error("model " + path + ": " + first_line(e));
    }
}

}  // namespace keisei::engine
