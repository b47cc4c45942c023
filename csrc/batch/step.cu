#include "batch/launch.h"
#include "batch/step.h"
#include "batch/step_game.h"

namespace keisei::batch {
namespace {

constexpr int kThreads = 128;

__device__ void fold_error(int64_t* cell, int64_t code) {
    if (code != kNoError) {
        atomicMin(reinterpret_cast<long long*>(cell), static_cast<long long>(code));
    }
}

__global__ void __launch_bounds__(kThreads) step_kernel(const StepArgs args) {
    __shared__ MaskStage<kThreads> stage;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads;
    const int64_t game = first + threadIdx.x;
    if (game < args.state.games) fold_error(args.error, step_game(args, game, stage.row()));
    stage.flush(args.state.mask, first, args.state.games);
}

__global__ void __launch_bounds__(kThreads) check_actions_kernel(const StepArgs args) {
    const int64_t game = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    if (game >= args.state.games || args.state.progress_of(PENDING, game) != 0) return;
    const int64_t label = args.actions[game];
    if (!is_allowed(mask_row(args.state, game), label)) {
        fold_error(args.error, error_code(game, label));
    }
}

}  // namespace

int64_t first_illegal_cuda(const StepArgs& args, void* stream) {
    if (args.state.games == 0) return kNoError;
    const auto on = static_cast<cudaStream_t>(stream);
    const auto copy_error = [&](int64_t* to, const int64_t* from, cudaMemcpyKind kind) {
        check_cuda(cudaMemcpyAsync(to, from, sizeof(int64_t), kind, on), "check_actions: copy");
        check_cuda(cudaStreamSynchronize(on), "check_actions: synchronize");
    };
    int64_t code = kNoError;
    copy_error(args.error, &code, cudaMemcpyHostToDevice);
    check_actions_kernel<<<blocks_for(args.state.games, kThreads), kThreads, 0, on>>>(args);
    check_launch("check_actions_kernel");
    copy_error(&code, args.error, cudaMemcpyDeviceToHost);
    if (code != kNoError) {
        const int64_t none = kNoError;
        copy_error(args.error, &none, cudaMemcpyHostToDevice);
    }
    return code;
}

void step_cuda(const StepArgs& args, void* stream) {
    if (args.state.games == 0) return;
    step_kernel<<<blocks_for(args.state.games, kThreads), kThreads, 0,
                  static_cast<cudaStream_t>(stream)>>>(args);
    check_launch("step_kernel");
}

}  // namespace keisei::batch
