#include "engine/search/mock_evaluator.h"

#include "engine/search/random_bits.h"
#include "shogi/key.h"

namespace keisei::engine {
namespace {

uint64_t bits_of(const shogi::Position& position) {
    return mixed(shogi::key(position) ^ static_cast<uint64_t>(position.occurrence()));
}

float value_of(uint64_t bits) {
    constexpr double kRange = 0.8;
    return static_cast<float>(kRange * (2.0 * unit(bits) - 1.0));
}

float logit_of(uint64_t bits, int label) {
    constexpr double kRange = 4.0;
    const auto number = static_cast<uint64_t>(label) + 1;
    return static_cast<float>(kRange * unit(mixed(bits ^ number)));
}

}  // namespace

void MockEvaluator::evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                             std::span<float> values) {
    auto logit = logits.begin();
    for (std::size_t i = 0; i < positions.size(); ++i) {
        const uint64_t bits = bits_of(positions[i]);
        values[i] = value_of(bits);
        for (int label = 0; label < shogi::kLabels; ++label) *logit++ = logit_of(bits, label);
    }
}

void MockEvaluator::evaluate_labels(const EvaluationBatch& batch) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < batch.positions.size(); ++i) {
        const uint64_t bits = bits_of(batch.positions[i]);
        batch.values[i] = value_of(bits);
        for (; at < batch.ends[i]; ++at) batch.logits[at] = logit_of(bits, batch.labels[at]);
    }
}

}  // namespace keisei::engine
