// The ops on CUDA: on the device of their first tensor and on torch's current stream there.
#include <torch/csrc/stable/accelerator.h>

#include "ops/adapters.h"

namespace keisei::ops {
namespace {

void* current_stream(int32_t device) {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
    return stream;
}

template <typename Args, typename Result>
Result launch(const Tensor& on, const Args& args, Result (*kernel)(const Args&, void*)) {
    const int32_t device = on.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    return kernel(args, current_stream(device));
}

struct Cuda {
    static void reset(const Tensor& on, const batch::ResetArgs& args) {
        launch(on, args, batch::reset_cuda);
    }

    static int64_t first_illegal(const Tensor& on, const batch::StepArgs& args) {
        // A cell of its own: what an unchecked step has left in the caller's must not be lost.
        const Tensor cell = empty_beside(on, {1}, ScalarType::Long);
        batch::StepArgs check = args;
        check.error = static_cast<int64_t*>(cell.data_ptr());
        return launch(on, check, batch::first_illegal_cuda);
    }

    static void step(const Tensor& on, const batch::StepArgs& args) {
        launch(on, args, batch::step_cuda);
    }

    static void random_play(const Tensor& on, const batch::RandomPlayArgs& args) {
        launch(on, args, batch::random_play_cuda);
    }

    static void legal_mask(const Tensor& on, const batch::LegalMaskArgs& args) {
        launch(on, args, batch::legal_mask_cuda);
    }

    static void unpack_mask(const Tensor& on, const batch::UnpackMaskArgs& args) {
        launch(on, args, batch::unpack_mask_cuda);
    }

    static void planes(const Tensor& on, const batch::PlanesArgs& args) {
        launch(on, args, batch::planes_cuda);
    }

    static void mirror(const Tensor& on, const batch::MirrorArgs& args) {
        launch(on, args, batch::mirror_cuda);
    }

    static void perft(const Tensor& on, const batch::PerftArgs& args) {
        const auto bytes = batch::perft_scratch_bytes(args.games, args.depth);
        const Tensor scratch = empty_beside(on, {static_cast<int64_t>(bytes)}, ScalarType::Byte);
        batch::PerftArgs with_scratch = args;
        with_scratch.scratch = scratch.data_ptr();
        launch(on, with_scratch, batch::perft_cuda);
    }

    static void uniform_sample(const Tensor& on, const batch::UniformSampleArgs& args) {
        launch(on, args, batch::uniform_sample_cuda);
    }

    static void masked_sample(const Tensor& on, const batch::MaskedSampleArgs& args) {
        launch(on, args, batch::masked_sample_cuda);
    }

    static void gae(const Tensor& on, const batch::GaeArgs& args) {
        launch(on, args, batch::gae_cuda);
    }

    static int64_t ppo_loss_parts(int64_t rows) { return batch::ppo_loss_parts_cuda(rows); }

    template <typename Real>
    static void ppo_loss(const Tensor& on, const batch::PpoLossArgs<Real>& args) {
        launch<batch::PpoLossArgs<Real>, void>(on, args, batch::ppo_loss_cuda);
    }

    template <typename Real>
    static void ppo_loss_backward(const Tensor& on, const batch::PpoLossBackwardArgs<Real>& args) {
        launch<batch::PpoLossBackwardArgs<Real>, void>(on, args, batch::ppo_loss_backward_cuda);
    }
};

}  // namespace
}  // namespace keisei::ops

STABLE_TORCH_LIBRARY_IMPL(keisei, CUDA, m) {
    keisei::ops::Adapters<keisei::ops::Cuda>::implement(m);
}
