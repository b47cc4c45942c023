#include "engine/search/mock_evaluator.h"

#include "engine/search/random_bits.h"
#include "shogi/key.h"

namespace keisei::engine {

void MockEvaluator::evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                             std::span<float> values) {
    constexpr double kLogitRange = 4.0;
    constexpr double kValueRange = 0.8;
    auto logit = logits.begin();
    for (std::size_t i = 0; i < positions.size(); ++i) {
        const auto occurrence = static_cast<uint64_t>(positions[i].occurrence());
        const uint64_t key = mixed(shogi::key(positions[i]) ^ occurrence);
        values[i] = static_cast<float>(kValueRange * (2.0 * unit(key) - 1.0));
        for (uint64_t label = 1; label <= shogi::kLabels; ++label) {
            *logit++ = static_cast<float>(kLogitRange * unit(mixed(key ^ label)));
        }
    }
}

}  // namespace keisei::engine
