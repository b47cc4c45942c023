// The ops on the CPU: ranges of games, shared among torch's threads.
#include <algorithm>
#include <atomic>
#include <mutex>

#include "ops/adapters.h"

namespace keisei::ops {
namespace {

// Games a thread takes at least: some ten microseconds of work.
constexpr int64_t kFewGames = 16;
constexpr int64_t kManyGames = 256;

template <typename Args>
void share(int64_t games, int64_t at_least, const Args& args,
           void (*kernel)(const Args&, int64_t, int64_t)) {
    torch::stable::parallel_for(0, games, at_least,
                                [&](int64_t begin, int64_t end) { kernel(args, begin, end); });
}

struct Cpu {
    static void reset(const Tensor&, const batch::ResetArgs& args) {
        share(args.state.games, kManyGames, args, batch::reset_cpu);
    }

    static int64_t first_illegal(const Tensor&, const batch::StepArgs& args) {
        return batch::first_illegal_cpu(args);
    }

    static void step(const Tensor&, const batch::StepArgs& args) {
        std::atomic<int64_t> error{*args.error};
        torch::stable::parallel_for(
            0, args.state.games, kFewGames, [&](int64_t begin, int64_t end) {
                const int64_t code = batch::step_cpu(args, begin, end);
                int64_t smallest = error.load();
                while (code < smallest && !error.compare_exchange_weak(smallest, code)) {
                }
            });
        *args.error = error.load();
    }

    static void random_play(const Tensor&, const batch::RandomPlayArgs& args) {
        std::mutex adding;
        torch::stable::parallel_for(0, args.state.games, kFewGames,
                                    [&](int64_t begin, int64_t end) {
                                        int64_t tally[batch::kTallyCells] = {};
                                        batch::random_play_cpu(args, begin, end, tally);
                                        const std::scoped_lock lock(adding);
                                        for (int i = 0; i < batch::kTallyCells; ++i)
                                            args.tally[i] += tally[i];
                                    });
    }

    static void legal_mask(const Tensor&, const batch::LegalMaskArgs& args) {
        share(args.games, kFewGames, args, batch::legal_mask_cpu);
    }

    static void unpack_mask(const Tensor&, const batch::UnpackMaskArgs& args) {
        share(args.games, kFewGames, args, batch::unpack_mask_cpu);
    }

    static void planes(const Tensor&, const batch::PlanesArgs& args) {
        share(args.games, kFewGames, args, batch::planes_cpu);
    }

    static void mirror(const Tensor&, const batch::MirrorArgs& args) {
        share(args.rows, kManyGames, args, batch::mirror_cpu);
    }

    static void perft(const Tensor&, const batch::PerftArgs& args) {
        share(args.games, 1, args, batch::perft_cpu);
    }

    static void uniform_sample(const Tensor&, const batch::UniformSampleArgs& args) {
        share(args.games, kManyGames, args, batch::uniform_sample_cpu);
    }

    static void masked_sample(const Tensor&, const batch::MaskedSampleArgs& args) {
        share(args.games, kFewGames, args, batch::masked_sample_cpu);
    }

    static void gae(const Tensor&, const batch::GaeArgs& args) {
        share(args.games, kFewGames, args, batch::gae_cpu);
    }

    static int64_t ppo_loss_parts(int64_t rows) { return batch::ppo_loss_parts_cpu(rows); }

    template <typename Real>
    static void ppo_loss(const Tensor&, const batch::PpoLossArgs<Real>& args) {
        share<batch::PpoLossArgs<Real>>(args.rows, kFewGames, args, batch::ppo_loss_cpu);
        batch::ppo_loss_finish_cpu(args);
    }

    template <typename Real>
    static void ppo_loss_backward(const Tensor&, const batch::PpoLossBackwardArgs<Real>& args) {
        share<batch::PpoLossBackwardArgs<Real>>(args.rows, kFewGames, args,
                                                batch::ppo_loss_backward_cpu);
    }
};

}  // namespace
}  // namespace keisei::ops

STABLE_TORCH_LIBRARY_IMPL(keisei, CPU, m) {
    keisei::ops::Adapters<keisei::ops::Cpu>::implement(m);
}
