// From tensors to the pointers that csrc/batch works on: one adapter per op, the same for every
// device. A Backend is a table of implementations; cpu.cpp and cuda.cpp have one each.
#pragma once

#include <torch/csrc/stable/c/shim.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/headeronly/core/MemoryFormat.h>

#include <bit>
#include <optional>
#include <string_view>
#include <tuple>

#include "batch/gae.h"
#include "batch/legal_mask.h"
#include "batch/masked_sample.h"
#include "batch/mirror.h"
#include "batch/perft.h"
#include "batch/planes.h"
#include "batch/ppo_loss.h"
#include "batch/ppo_loss_backward.h"
#include "batch/random_play.h"
#include "batch/reset.h"
#include "batch/step.h"
#include "batch/uniform_sample.h"
#include "batch/unpack_mask.h"
#include "ops/checks.h"

namespace keisei::ops {

using batch::kMaskWords;
using batch::kPositionWords;
using shogi::kLabels;

// A string argument, owned. (torch's own conversion to std::string leaks it up to 2.13.)
class OwnedString {
 public:
    explicit OwnedString(StringHandle handle) : handle_(handle) {}
    OwnedString(const OwnedString&) = delete;
    OwnedString& operator=(const OwnedString&) = delete;
    ~OwnedString() { torch_delete_string(handle_); }

    std::string_view view() const {
        const char* data = nullptr;
        size_t length = 0;
        TORCH_ERROR_CODE_CHECK(torch_string_c_str(handle_, &data));
        TORCH_ERROR_CODE_CHECK(torch_string_length(handle_, &length));
        return {data, length};
    }

 private:
    StringHandle handle_;
};

inline Tensor empty_beside(const Tensor& tensor, Shape shape, ScalarType dtype) {
    return torch::stable::new_empty(tensor, {shape.begin(), shape.size()}, dtype);
}

inline void require_at_least(int64_t value, int64_t least, const char* name) {
    if (value < least) {
        throw std::invalid_argument(std::string(name) + ": expected at least " +
                                    std::to_string(least) + ", got " + std::to_string(value));
    }
}

// Runs of checking moves are counted in 16 bits.
constexpr int64_t kMostPlies = 65535;
// At most the bits of a key that choose a bucket; at least two, which are copied together.
constexpr int64_t kFewestBuckets = 2;
constexpr int64_t kMostBuckets = 65536;
// A block of 256 games counts its moves in 31 bits.
constexpr int64_t kMostRandomPlies = 1 << 20;

// The tensors that `reset` and `step` share. Fills games, start_count and max_plies from the
// shapes.
inline batch::State state_of(Arguments& arguments, const Tensor& positions, const Tensor& progress,
                             const Tensor& history, const Tensor& buckets, const Tensor& starts,
                             const Tensor& mask, int64_t first_game) {
    using enum ScalarType;
    require_at_least(first_game, 0, "first_game");
    batch::State state;
    state.first_game = first_game;
    state.positions =
        arguments.write<int32_t>(positions, "positions", Int, {kPositionWords, kGames});
    const int64_t games = state.games = positions.size(1);
    state.progress =
        arguments.write<int32_t>(progress, "progress", Int, {batch::kProgressRows, games});
    state.history = arguments.write<int64_t>(
        history, "history", Long,
        {(games + batch::kHistoryTile - 1) / batch::kHistoryTile, kHistory, batch::kHistoryTile});
    const int64_t max_plies = history.size(1) - 1;
    if (max_plies < 1 || max_plies > kMostPlies) {
        throw std::invalid_argument("history: expected 2 to " + std::to_string(kMostPlies + 1) +
                                    " rows (max_plies + 1), got " + std::to_string(max_plies + 1));
    }
    state.max_plies = static_cast<int32_t>(max_plies);
    state.buckets = arguments.write<uint16_t>(buckets, "buckets", Short, {games, kBuckets});
    state.bucket_count = buckets.size(1);
    if (state.bucket_count < kFewestBuckets || state.bucket_count > kMostBuckets ||
        !std::has_single_bit(static_cast<uint64_t>(state.bucket_count))) {
        throw std::invalid_argument(
            "buckets: expected a power of two from " + std::to_string(kFewestBuckets) + " to " +
            std::to_string(kMostBuckets) + " a game, got " + std::to_string(state.bucket_count));
    }
    state.starts = arguments.read<int32_t>(starts, "starts", Int, {kStarts, batch::kStartWords});
    state.start_count = starts.size(0);
    require_at_least(state.start_count, 1, "starts: number of rows");
    state.mask = arguments.write<int32_t>(mask, "mask", Int, {games, kMaskWords});
    return state;
}

inline batch::PositionsView view_of(Arguments& arguments, const Tensor& positions) {
    bool word_major = false;
    const int32_t* words =
        arguments.read_positions(positions, "positions", kPositionWords, &word_major);
    return word_major ? batch::PositionsView{words, 1, positions.size(0)}
                      : batch::PositionsView{words, kPositionWords, 1};
}

template <typename Backend>
struct Adapters {
    static void reset(const Tensor& positions, const Tensor& progress, const Tensor& history,
                      const Tensor& buckets, const Tensor& starts, const Tensor& mask,
                      int64_t first_game) {
        Arguments arguments(positions);
        const batch::ResetArgs args{
            state_of(arguments, positions, progress, history, buckets, starts, mask, first_game)};
        arguments.require_apart();
        Backend::reset(positions, args);
    }

    static void step(const Tensor& positions, const Tensor& progress, const Tensor& history,
                     const Tensor& buckets, const Tensor& starts, const Tensor& mask,
                     const Tensor& actions, const Tensor& reward, const Tensor& ending,
                     const Tensor& valid, const Tensor& length, const Tensor& error,
                     int64_t first_game, int64_t max_plies, bool check) {
        using enum ScalarType;
        Arguments arguments(positions);
        batch::StepArgs args;
        args.state =
            state_of(arguments, positions, progress, history, buckets, starts, mask, first_game);
        const int64_t games = args.state.games;
        if (max_plies != args.state.max_plies) {
            throw std::invalid_argument(
                "max_plies: expected " + std::to_string(args.state.max_plies) +
                " (the rows of history less one), got " + std::to_string(max_plies));
        }
        args.actions = arguments.read<int64_t>(actions, "actions", Long, {games});
        args.reward = arguments.write<float>(reward, "reward", Float, {games});
        args.ending = arguments.write<uint8_t>(ending, "ending", Byte, {games});
        args.valid = arguments.write<bool>(valid, "valid", Bool, {games});
        args.length = arguments.write<int32_t>(length, "length", Int, {games});
        args.error = arguments.write<int64_t>(error, "error", Long, {1});
        arguments.require_apart();
        if (check) {
            const int64_t code = Backend::first_illegal(positions, args);
            if (code != batch::kNoError) {
                const int label = batch::error_label(code);
                throw std::invalid_argument(
                    "actions: game " + std::to_string(batch::error_game(code)) + ": " +
                    (label == -1 ? "a label out of range" : "label " + std::to_string(label)) +
                    " is not legal (expected a label of its legal mask; no game has moved)");
            }
        }
        Backend::step(positions, args);
    }

    static Tensor random_play(const Tensor& positions, const Tensor& progress,
                              const Tensor& history, const Tensor& buckets, const Tensor& starts,
                              const Tensor& mask, int64_t plies, int64_t seed, int64_t first_game) {
        require_at_least(plies, 0, "plies");
        if (plies > kMostRandomPlies) {
            throw std::invalid_argument("plies: expected at most " +
                                        std::to_string(kMostRandomPlies) + ", got " +
                                        std::to_string(plies));
        }
        Arguments arguments(positions);
        batch::RandomPlayArgs args;
        args.state =
            state_of(arguments, positions, progress, history, buckets, starts, mask, first_game);
        arguments.require_apart();
        args.plies = static_cast<int32_t>(plies);
        args.seed = static_cast<uint64_t>(seed);
        Tensor tally = empty_beside(positions, {batch::kTallyCells}, ScalarType::Long);
        torch::stable::zero_(tally);
        args.tally = static_cast<int64_t*>(tally.data_ptr());
        Backend::random_play(positions, args);
        return tally;
    }

    static Tensor legal_mask(const Tensor& positions) {
        Arguments arguments(positions);
        batch::LegalMaskArgs args;
        args.positions = view_of(arguments, positions);
        args.games = positions.size(0);
        const Tensor mask = empty_beside(positions, {args.games, kMaskWords}, ScalarType::Int);
        args.mask = static_cast<int32_t*>(mask.data_ptr());
        Backend::legal_mask(positions, args);
        return mask;
    }

    static Tensor unpack_mask(const Tensor& mask) {
        Arguments arguments(mask);
        batch::UnpackMaskArgs args;
        args.mask = arguments.read<uint32_t>(mask, "mask", ScalarType::Int, {kGames, kMaskWords});
        args.games = mask.size(0);
        const Tensor legal = empty_beside(mask, {args.games, kLabels}, ScalarType::Bool);
        args.legal = static_cast<uint8_t*>(legal.data_ptr());
        Backend::unpack_mask(mask, args);
        return legal;
    }

    static Tensor planes(const Tensor& positions, ScalarType dtype, bool channels_last,
                         bool padded) {
        using torch::headeronly::MemoryFormat;
        Arguments arguments(positions);
        batch::PlanesArgs args;
        args.positions = view_of(arguments, positions);
        args.games = positions.size(0);
        args.channels_last = channels_last;
        args.type = plane_type(dtype);
        if (padded && !channels_last) {
            throw std::invalid_argument("padded: expected False without channels_last, got True");
        }
        args.channels = padded ? batch::kPaddedPlanes : shogi::kFeaturePlanes;
        const int64_t shape[] = {args.games, args.channels, shogi::kFiles, shogi::kRanks};
        const Tensor planes = torch::stable::empty(
            {shape, std::size(shape)}, dtype, std::nullopt, positions.device(), std::nullopt,
            channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
        args.planes = planes.data_ptr();
        Backend::planes(positions, args);
        return planes;
    }

    static std::tuple<Tensor, Tensor> mirror(const Tensor& positions, const Tensor& actions,
                                             const Tensor& flip) {
        using enum ScalarType;
        Arguments arguments(positions);
        batch::MirrorArgs args;
        args.positions = view_of(arguments, positions);
        args.rows = positions.size(0);
        args.actions = arguments.read<int64_t>(actions, "actions", Long, {args.rows});
        args.flip = arguments.read<uint8_t>(flip, "flip", Bool, {args.rows});
        const Tensor mirrored = empty_beside(positions, {args.rows, kPositionWords}, Int);
        const Tensor labels = empty_beside(positions, {args.rows}, Long);
        args.mirrored = static_cast<int32_t*>(mirrored.data_ptr());
        args.labels = static_cast<int64_t*>(labels.data_ptr());
        Backend::mirror(positions, args);
        return {mirrored, labels};
    }

    static Tensor perft(const Tensor& positions, int64_t depth) {
        if (depth < 0 || depth > batch::kPerftMostDepth) {
            throw std::invalid_argument("depth: expected 0 to " +
                                        std::to_string(batch::kPerftMostDepth) + ", got " +
                                        std::to_string(depth));
        }
        Arguments arguments(positions);
        batch::PerftArgs args;
        args.positions = view_of(arguments, positions);
        args.games = positions.size(0);
        args.depth = static_cast<int>(depth);
        args.scratch = nullptr;
        const Tensor nodes = empty_beside(positions, {args.games}, ScalarType::Long);
        args.nodes = static_cast<int64_t*>(nodes.data_ptr());
        Backend::perft(positions, args);
        return nodes;
    }

    static Tensor uniform_sample(const Tensor& mask, const Tensor& clock, int64_t seed,
                                 int64_t first_game) {
        using enum ScalarType;
        require_at_least(first_game, 0, "first_game");
        Arguments arguments(mask);
        batch::UniformSampleArgs args;
        args.mask = arguments.read<uint32_t>(mask, "mask", Int, {kGames, kMaskWords});
        args.games = mask.size(0);
        args.clock = arguments.read<int32_t>(clock, "clock", Int, {args.games});
        args.seed = static_cast<uint64_t>(seed);
        args.first_game = first_game;
        const Tensor action = empty_beside(mask, {args.games}, Long);
        args.action = static_cast<int64_t*>(action.data_ptr());
        Backend::uniform_sample(mask, args);
        return action;
    }

    static std::tuple<Tensor, Tensor, Tensor> masked_sample(const Tensor& logits,
                                                            const Tensor& mask, const Tensor& clock,
                                                            int64_t seed, int64_t first_game,
                                                            bool greedy) {
        using enum ScalarType;
        require_at_least(first_game, 0, "first_game");
        Arguments arguments(logits);
        batch::MaskedSampleArgs args;
        args.logits = arguments.read_logits(logits, "logits", {kGames, kLabels});
        args.type = logit_type(logits.scalar_type());
        args.games = logits.size(0);
        args.mask = arguments.read<uint32_t>(mask, "mask", Int, {args.games, kMaskWords});
        args.clock = arguments.read<int32_t>(clock, "clock", Int, {args.games});
        args.seed = static_cast<uint64_t>(seed);
        args.first_game = first_game;
        args.greedy = greedy;
        const Tensor action = empty_beside(logits, {args.games}, Long);
        const Tensor log_prob = empty_beside(logits, {args.games}, Float);
        const Tensor entropy = empty_beside(logits, {args.games}, Float);
        args.action = static_cast<int64_t*>(action.data_ptr());
        args.log_prob = static_cast<float*>(log_prob.data_ptr());
        args.entropy = static_cast<float*>(entropy.data_ptr());
        Backend::masked_sample(logits, args);
        return {action, log_prob, entropy};
    }

    static std::tuple<Tensor, Tensor> gae(const Tensor& values, const Tensor& rewards,
                                          const Tensor& ending, const Tensor& valid, double gamma,
                                          double lam, StringHandle form_handle,
                                          std::optional<Tensor> own) {
        using enum ScalarType;
        const OwnedString form(form_handle);
        Arguments arguments(values);
        batch::GaeArgs args;
        args.form = gae_form(form.view());
        args.values = arguments.read<float>(values, "values", Float, {kStepsAndOne, kGames});
        args.steps = values.size(0) - 1;
        args.games = values.size(1);
        require_at_least(args.steps, 0, "values: number of rows less one");
        const auto all = {args.steps, args.games};
        args.rewards = arguments.read<float>(rewards, "rewards", Float, all);
        args.ending = arguments.read<uint8_t>(ending, "ending", Byte, all);
        args.valid = arguments.read<uint8_t>(valid, "valid", Bool, all);
        const bool needs_own = args.form == batch::GaeForm::own_plies;
        if (needs_own != own.has_value()) {
            throw std::invalid_argument(needs_own
                                            ? "own: expected bool " + list_text(all) + ", got None"
                                            : "own: expected None for a form other than own_plies, "
                                              "got a tensor");
        }
        args.own = needs_own ? arguments.read<uint8_t>(*own, "own", Bool, all) : nullptr;
        args.gamma = static_cast<float>(gamma);
        args.lambda = static_cast<float>(lam);
        const Tensor advantages = empty_beside(values, all, Float);
        const Tensor returns = empty_beside(values, all, Float);
        args.advantages = static_cast<float*>(advantages.data_ptr());
        args.returns = static_cast<float*>(returns.data_ptr());
        Backend::gae(values, args);
        return {advantages, returns};
    }

    static std::tuple<Tensor, Tensor, Tensor> ppo_loss(
        const Tensor& logits, const Tensor& values, const Tensor& mask, const Tensor& actions,
        const Tensor& log_probs, const Tensor& old_values, const Tensor& advantages,
        const Tensor& returns, const Tensor& valid, double clip_range,
        std::optional<double> value_clip, double value_coefficient,
        const Tensor& entropy_coefficient) {
        const auto loss = [&]<typename Real>(Real) {
            using enum ScalarType;
            Arguments arguments(logits);
            batch::PpoLossArgs<Real> args;
            args.logits = arguments.read_logits_or_double(logits, "logits", {kRows, kLabels});
            args.type = logit_type(logits.scalar_type());
            const int64_t rows = args.rows = logits.size(0);
            const ScalarType real = real_type(logits);
            args.values = arguments.read<Real>(values, "values", real, {rows});
            args.mask = arguments.read<uint32_t>(mask, "mask", Int, {rows, kMaskWords});
            args.actions = arguments.read<int64_t>(actions, "actions", Long, {rows});
            args.log_probs = arguments.read<Real>(log_probs, "log_probs", real, {rows});
            args.old_values = arguments.read<Real>(old_values, "old_values", real, {rows});
            args.advantages = arguments.read<Real>(advantages, "advantages", real, {rows});
            args.returns = arguments.read<Real>(returns, "returns", real, {rows});
            args.valid = arguments.read<uint8_t>(valid, "valid", Bool, {rows});
            args.clip_range = static_cast<Real>(clip_range);
            args.clips_values = value_clip.has_value();
            args.value_clip = static_cast<Real>(value_clip.value_or(0));
            args.value_coefficient = static_cast<Real>(value_coefficient);
            args.entropy_coefficient =
                arguments.read<Real>(entropy_coefficient, "entropy_coefficient", real, {});
            const Tensor total = empty_beside(logits, {}, real);
            const Tensor metrics = empty_beside(logits, {batch::kPpoTerms}, real);
            const Tensor stats = empty_beside(logits, {batch::kPpoStats, rows}, real);
            args.part_count = Backend::ppo_loss_parts(rows);
            const Tensor parts = empty_beside(logits, {batch::kPpoTerms, args.part_count}, real);
            args.total = static_cast<Real*>(total.data_ptr());
            args.metrics = static_cast<Real*>(metrics.data_ptr());
            args.stats = static_cast<Real*>(stats.data_ptr());
            args.parts = static_cast<Real*>(parts.data_ptr());
            Backend::ppo_loss(logits, args);
            return std::tuple{total, metrics, stats};
        };
        return logits.scalar_type() == ScalarType::Double ? loss(double{}) : loss(float{});
    }

    static std::tuple<Tensor, Tensor> ppo_loss_backward(const Tensor& gradient,
                                                        const Tensor& logits, const Tensor& mask,
                                                        const Tensor& actions, const Tensor& valid,
                                                        const Tensor& metrics, const Tensor& stats,
                                                        const Tensor& entropy_coefficient) {
        const auto backward = [&]<typename Real>(Real) {
            using enum ScalarType;
            Arguments arguments(logits);
            batch::PpoLossBackwardArgs<Real> args;
            args.logits = arguments.read_logits_or_double(logits, "logits", {kRows, kLabels});
            args.type = logit_type(logits.scalar_type());
            const int64_t rows = args.rows = logits.size(0);
            const ScalarType real = real_type(logits);
            args.gradient = arguments.read<Real>(gradient, "gradient", real, {});
            args.mask = arguments.read<uint32_t>(mask, "mask", Int, {rows, kMaskWords});
            args.actions = arguments.read<int64_t>(actions, "actions", Long, {rows});
            args.valid = arguments.read<uint8_t>(valid, "valid", Bool, {rows});
            args.metrics = arguments.read<Real>(metrics, "metrics", real, {batch::kPpoTerms});
            args.stats = arguments.read<Real>(stats, "stats", real, {batch::kPpoStats, rows});
            args.entropy_coefficient =
                arguments.read<Real>(entropy_coefficient, "entropy_coefficient", real, {});
            const Tensor logits_gradient =
                empty_beside(logits, {rows, kLabels}, logits.scalar_type());
            const Tensor values_gradient = empty_beside(logits, {rows}, real);
            args.logits_gradient = logits_gradient.data_ptr();
            args.values_gradient = static_cast<Real*>(values_gradient.data_ptr());
            Backend::ppo_loss_backward(logits, args);
            return std::tuple{logits_gradient, values_gradient};
        };
        return logits.scalar_type() == ScalarType::Double ? backward(double{}) : backward(float{});
    }

    static void implement(torch::stable::detail::StableLibrary& m) {
        m.impl("reset", TORCH_BOX(&Adapters::reset));
        m.impl("step", TORCH_BOX(&Adapters::step));
        m.impl("random_play", TORCH_BOX(&Adapters::random_play));
        m.impl("legal_mask", TORCH_BOX(&Adapters::legal_mask));
        m.impl("unpack_mask", TORCH_BOX(&Adapters::unpack_mask));
        m.impl("planes", TORCH_BOX(&Adapters::planes));
        m.impl("mirror", TORCH_BOX(&Adapters::mirror));
        m.impl("perft", TORCH_BOX(&Adapters::perft));
        m.impl("uniform_sample", TORCH_BOX(&Adapters::uniform_sample));
        m.impl("masked_sample", TORCH_BOX(&Adapters::masked_sample));
        m.impl("gae", TORCH_BOX(&Adapters::gae));
        m.impl("ppo_loss", TORCH_BOX(&Adapters::ppo_loss));
        m.impl("ppo_loss_backward", TORCH_BOX(&Adapters::ppo_loss_backward));
    }

 private:
    static batch::PlaneType plane_type(ScalarType dtype) {
        switch (dtype) {
            case ScalarType::Float:
                return batch::PlaneType::float32;
            case ScalarType::Double:
                return batch::PlaneType::float64;
            case ScalarType::Half:
                return batch::PlaneType::float16;
            case ScalarType::BFloat16:
                return batch::PlaneType::bfloat16;
            case ScalarType::Byte:
                return batch::PlaneType::uint8;
            default:
                throw std::invalid_argument(
                    "dtype: expected float32, float64, float16, bfloat16 or uint8, got " +
                    dtype_text(dtype));
        }
    }

    // Of a dtype that has been checked.
    static batch::LogitType logit_type(ScalarType dtype) {
        switch (dtype) {
            case ScalarType::Double:
                return batch::LogitType::float64;
            case ScalarType::Half:
                return batch::LogitType::float16;
            case ScalarType::BFloat16:
                return batch::LogitType::bfloat16;
            default:
                return batch::LogitType::float32;
        }
    }

    // What a loss over these logits is computed in.
    static ScalarType real_type(const Tensor& logits) {
        return logits.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
    }

    static batch::GaeForm gae_form(std::string_view form) {
        if (form == "zero_sum") return batch::GaeForm::zero_sum;
        if (form == "single") return batch::GaeForm::single;
        if (form == "own_plies") return batch::GaeForm::own_plies;
        throw std::invalid_argument("form: expected zero_sum, single or own_plies, got " +
                                    std::string(form));
    }
};

}  // namespace keisei::ops
