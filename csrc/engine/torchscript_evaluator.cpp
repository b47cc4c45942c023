#include "engine/torchscript_evaluator.h"

#include <ATen/Parallel.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/cuda.h>
#include <torch/script.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "engine/cuda_graphs.h"
#include "engine/fused_layers.h"
#include "engine/manifest.h"
#include "engine/model_file.h"
#include "shogi/planes.h"

namespace keisei::engine {
namespace {

using shogi::kFeaturePlanes;
using shogi::kLabels;

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
    if (text == "auto") return has_cuda ? torch::Device(torch::kCUDA, 0) : torch::kCPU;
    const torch::Device device(text == "cuda" ? "cuda:0" : text);
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

// Bits of a word to squares: 27 masks.
torch::Tensor square_masks(torch::Device device) {
    std::vector<int32_t> masks;
    for (int bit = 0; bit < shogi::kWordBits; ++bit) masks.push_back(int32_t{1} << bit);
    return torch::tensor(masks, torch::kInt32).to(device);
}

// Shapes of batches are few, since each has a graph, with memory for what it says: powers of two,
// from 64 on four steps between two of them.
int64_t padded(int64_t count) {
    constexpr int64_t kSmall = 64;
    constexpr int64_t kSteps = 4;
    int64_t power = 1;
    while (power < count) power *= 2;
    if (power <= kSmall) return power;
    const int64_t step = power / 2 / kSteps;
    return (count + step - 1) / step * step;
}

class TorchScriptEvaluator final : public Evaluator {
 public:
    TorchScriptEvaluator(const std::string& path, const std::string& device,
                         const std::string& precision, UsiOutput& output)
        : output_(output), warnings_(output) {
        check_manifest(read_manifest(path));
        load(path, device, precision);
        if (device_.is_cuda() && !CudaGraphs::possible()) {
            told_ = true;
            output.info_string(
                std::string("the network's kernels are started one by one, slowly: ") +
                (CudaGraphs::built() ? "an earlier network could not be recorded"
                                     : "built without CUDA's headers"));
        }
        const shogi::Position start = shogi::startpos();
        std::vector<float> logits(kLabels);
        std::vector<float> values(1);
        evaluate({&start, 1}, logits, values);
        description_ = device_.str() + " in " + precision;
        const std::string fused = fused_ > 0 ? ", " + std::to_string(fused_) + " layers fused" : "";
        output.info_string("model " + path + " on " + description_ + fused);
    }

    int best_batch() const override { return device_.is_cuda() ? kBatchOnGpu : kBatchOnCpu; }
    int best_threads() const override { return device_.is_cuda() ? kLanesOnGpu : cores_; }
    std::string describe() const override { return description_; }

    void evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                  std::span<float> values) override {
        const auto all = [&](const torch::Tensor& rows, Lane&) { return rows; };
        evaluate_by(positions, logits, values, cores_, all);
    }

    // Only the wanted logits come back from the device.
    void evaluate_labels(const EvaluationBatch& batch) override {
        const auto wanted = [&](const torch::Tensor& rows, Lane& lane) {
            const auto count = static_cast<int64_t>(batch.labels.size());
            grow(lane.indices, {count}, torch::kInt32);
            auto* index = lane.indices.data_ptr<int32_t>();
            std::size_t at = 0;
            for (std::size_t i = 0; i < batch.positions.size(); ++i) {
                for (; at < batch.ends[i]; ++at) {
                    *index++ = static_cast<int32_t>(i) * shogi::kLabels + batch.labels[at];
                }
            }
            const torch::Tensor indices =
                lane.indices.narrow(0, 0, count).to(device_, /*non_blocking=*/true);
            return rows.flatten().index_select(0, indices);
        };
        // One core: there are more threads for more. Cores that share a batch wait for each other
        // in each layer, and for long if they have other things to do.
        evaluate_by(batch.positions, batch.logits, batch.values, 1, wanted);
    }

 private:
    // What the network says of a batch: [N, labels] and [N].
    struct Answer {
        torch::Tensor logits;
        torch::Tensor values;
    };

    // The forward pass of so many rows as a graph: where it reads and writes, on the device.
    struct Recorded {
        torch::Tensor words;
        Answer answer;
    };

    // What one call needs to itself: memory that the device reads and writes by itself, and on a
    // GPU a stream, so that one batch is copied while another is computed.
    struct Lane {
        torch::Tensor words;    // int32 [N, planes, 3], on the host as all of them
        torch::Tensor indices;  // int32 [labels]
        torch::Tensor logits;   // float32, flat
        torch::Tensor values;   // float32 [N]
        std::optional<c10::Stream> stream;
        CudaGraphs graphs;
        std::map<int64_t, Recorded> recorded;  // by rows
    };

    // Takes a lane that is free, or waits for one; gives it back.
    class Borrowed {
     public:
        explicit Borrowed(TorchScriptEvaluator& owner) : owner_(owner) {
            std::unique_lock lock(owner_.lanes_mutex_);
            owner_.lane_freed_.wait(lock, [&] {
                return !owner_.lanes_.empty() || owner_.device_.is_cpu() ||
                       owner_.lane_count_ < kLanesOnGpu;
            });
            if (owner_.lanes_.empty()) {
                ++owner_.lane_count_;
                lane_ = std::make_unique<Lane>();
                if (owner_.device_.is_cuda()) {
                    const c10::impl::VirtualGuardImpl cuda(owner_.device_.type());
                    lane_->stream = cuda.getStreamFromGlobalPool(owner_.device_, false);
                }
                return;
            }
            lane_ = std::move(owner_.lanes_.back());
            owner_.lanes_.pop_back();
        }
        ~Borrowed() {
            {
                const std::lock_guard lock(owner_.lanes_mutex_);
                owner_.lanes_.push_back(std::move(lane_));
            }
            owner_.lane_freed_.notify_one();
        }
        Borrowed(const Borrowed&) = delete;
        Borrowed& operator=(const Borrowed&) = delete;
        Lane& operator*() { return *lane_; }

     private:
        TorchScriptEvaluator& owner_;
        std::unique_ptr<Lane> lane_;
    };

    // torch has 32 streams a device and gives them out in turn; a stream that records is nobody
    // else's. With half of them a network and its successor have their own.
    static constexpr int kLanesOnGpu = 16;
    static constexpr int kBatchOnGpu = 256;
    static constexpr int kBatchOnCpu = 8;

    // On a GPU in pages that stay in memory: only those are copied in the background.
    void grow(torch::Tensor& tensor, std::vector<int64_t> shape, torch::ScalarType dtype) const {
        if (tensor.defined() && tensor.size(0) >= shape[0]) return;
        constexpr int64_t kRoom = 2;  // growing by pieces would move it again and again
        shape[0] *= tensor.defined() ? kRoom : 1;
        tensor = torch::empty(shape,
                              torch::TensorOptions().dtype(dtype).pinned_memory(device_.is_cuda()));
    }

    // `select` takes what is wanted of the logits [N, labels] on the device; `cores` are for what
    // is computed on the CPU.
    template <typename Select>
    void evaluate_by(std::span<const shogi::Position> positions, std::span<float> logits,
                     std::span<float> values, int cores, const Select& select) {
        if (positions.empty()) return;
        const c10::WarningUtils::WarningHandlerGuard guard(&warnings_);
        try {
            const c10::InferenceMode inference;
            Borrowed lane(*this);
            const c10::OptionalStreamGuard stream((*lane).stream);
            // This thread's; setting the number is more than reading it.
            if (device_.is_cpu() && at::get_num_threads() != cores) at::set_num_threads(cores);
            forward(positions, logits, values, *lane, select);
        } catch (const std::exception& e) {
            throw std::runtime_error("evaluation: " + first_line(e));
        }
    }

    static int all_cores() {
        static const int count = at::get_num_threads();  // before this thread was given fewer
        return count;
    }

    void load(const std::string& path, const std::string& device, const std::string& precision) {
        const c10::WarningUtils::WarningHandlerGuard guard(&warnings_);
        device_ = device_of(device);
        dtype_ = dtype_of(precision);
        if (device_.is_cuda()) {
            // fp32 is what it says: TF32 keeps ten bits of a factor. Who wants speed has bf16.
            at::globalContext().setAllowTF32CuDNN(false);
            at::globalContext().setAllowTF32CuBLAS(false);
        }
        module_ = torch::jit::load(path, device_);
        module_.eval();
        module_.to(device_, dtype_);
        // Convolutions are fastest with the channels of a square side by side.
        {
            const torch::NoGradGuard no_grad;
            for (torch::Tensor parameter : module_.parameters()) {
                if (parameter.dim() == 4) {
                    parameter.set_data(parameter.contiguous(torch::MemoryFormat::ChannelsLast));
                }
            }
        }
        module_ = torch::jit::freeze(module_);
        if (device_.is_cuda() || dtype_ != torch::kHalf) {
            auto graph = module_.get_method("forward").graph();
            fused_ = fuse_layers(graph);
        }
        masks_ = square_masks(device_);
        // Batches run on streams of their own, which do not wait for what came before.
        if (device_.is_cuda()) torch::cuda::synchronize(device_.index());
    }

    template <typename Select>
    void forward(std::span<const shogi::Position> positions, std::span<float> logits,
                 std::span<float> values, Lane& lane, const Select& select) {
        const auto count = static_cast<int64_t>(positions.size());
        const int64_t rows = device_.is_cuda() ? padded(count) : count;
        const torch::Tensor words = words_of(positions, rows, lane);
        const Answer answer = device_.is_cuda() ? on_gpu(words, lane) : network(words);
        const torch::Tensor all = answer.logits.narrow(0, 0, count);
        const torch::Tensor value = answer.values.narrow(0, 0, count);
        fetch(select(all, lane).flatten(), lane.logits);
        fetch(value, lane.values);
        if (lane.stream) lane.stream->synchronize();
        store(lane.logits, "logits", logits);
        store(lane.values, "value", values);
    }

    // The forward pass of words on the host.
    Answer on_gpu(const torch::Tensor& words, Lane& lane) {
        const int64_t rows = words.size(0);
        Recorded& recorded = lane.recorded[rows];
        if (!recorded.words.defined()) recorded.words = torch::empty_like(words, device_);
        recorded.words.copy_(words, /*non_blocking=*/true);
        if (lane.graphs.has(rows)) {
            lane.graphs.replay(rows);
            return recorded.answer;
        }
        Answer answer = network(recorded.words);
        if (CudaGraphs::possible()) {
            try {
                lane.graphs.record(rows, [&] { recorded.answer = network(recorded.words); });
            } catch (const std::exception& e) {
                // A network may look at its own numbers on the way.
                recorded.answer = {};
                if (!told_.exchange(true)) {
                    output_.info_string("the network's kernels are started one by one, slowly: " +
                                        first_line(e));
                }
            }
        }
        return answer;
    }

    // The forward pass of words where the network is.
    Answer network(const torch::Tensor& words) {
        // The optimising executor takes seconds to specialise and is no faster afterwards.
        const torch::jit::GraphOptimizerEnabledGuard plain(false);
        const torch::IValue result = module_.forward({planes_of(words)});
        if (!result.isTuple() || result.toTupleRef().elements().size() != 2) {
            throw std::runtime_error("forward: expected a pair (logits, value)");
        }
        const auto& pair = result.toTupleRef().elements();
        const int64_t rows = words.size(0);
        return {checked(pair[0], "logits", {rows, kLabels}), checked(pair[1], "value", {rows})};
    }

    // The bitboards of the planes, int32 [rows, planes, 3] in the lane's memory: a twenty-seventh
    // of what the planes themselves would have to be copied. Rows without a position are zeros.
    torch::Tensor words_of(std::span<const shogi::Position> positions, int64_t rows,
                           Lane& lane) const {
        constexpr int64_t kWords = 3;
        const int64_t left = rows - static_cast<int64_t>(positions.size());
        grow(lane.words, {rows, kFeaturePlanes, kWords}, torch::kInt32);
        auto* out = reinterpret_cast<uint32_t*>(lane.words.data_ptr<int32_t>());
        for (const auto& position : positions) {
            shogi::Bitboard features[kFeaturePlanes];
            shogi::feature_planes(position, features);
            for (const auto& plane : features) {
                plane.store(out);
                out += kWords;
            }
        }
        std::fill_n(out, left * kFeaturePlanes * kWords, 0u);
        return lane.words.narrow(0, 0, rows);
    }

    // [N, planes, 9, 9] of zeros and ones.
    torch::Tensor planes_of(const torch::Tensor& words) const {
        const torch::Tensor planes = words.unsqueeze(-1).bitwise_and(masks_).ne(0).to(dtype_).view(
            {words.size(0), kFeaturePlanes, shogi::kFiles, shogi::kRanks});
        return planes.contiguous(torch::MemoryFormat::ChannelsLast);
    }

    static torch::Tensor checked(const torch::IValue& from, const std::string& name,
                                 const std::vector<int64_t>& shape) {
        if (from.isTensor() && from.toTensor().sizes() == torch::IntArrayRef(shape)) {
            return from.toTensor();
        }
        throw std::runtime_error(
            "forward " + name + ": expected a tensor " + c10::str(torch::IntArrayRef(shape)) +
            ", got " + (from.isTensor() ? c10::str(from.toTensor().sizes()) : from.tagKind()));
    }

    void fetch(const torch::Tensor& from, torch::Tensor& to) const {
        grow(to, {from.size(0)}, torch::kFloat);
        to.narrow(0, 0, from.size(0)).copy_(from, /*non_blocking=*/true);
    }

    static void store(const torch::Tensor& from, const std::string& name, std::span<float> to) {
        const float* begin = from.data_ptr<float>();
        for (std::size_t i = 0; i < to.size(); ++i) {
            if (!std::isfinite(begin[i])) {
                throw std::runtime_error("forward " + name + ": expected finite numbers, got " +
                                         std::to_string(begin[i]));
            }
            to[i] = begin[i];
        }
    }

    UsiOutput& output_;
    WarningsToOutput warnings_;
    std::mutex lanes_mutex_;
    std::condition_variable lane_freed_;
    int lane_count_ = 0;
    std::vector<std::unique_ptr<Lane>> lanes_;  // that are free
    torch::Tensor masks_;
    torch::Device device_ = torch::kCPU;
    torch::ScalarType dtype_ = torch::kFloat;
    torch::jit::Module module_;
    std::atomic<bool> told_ = false;  // that there are no graphs
    int fused_ = 0;                   // chains of operations
    std::string description_;
    const int cores_ = all_cores();
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
