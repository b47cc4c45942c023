#include "engine/evaluator.h"

#include <vector>

namespace keisei::engine {

void Evaluator::evaluate_labels(const EvaluationBatch& batch) {
    thread_local std::vector<float> rows;
    rows.resize(batch.positions.size() * shogi::kLabels);
    evaluate(batch.positions, rows, batch.values);
    std::size_t at = 0;
    for (std::size_t i = 0; i < batch.positions.size(); ++i) {
        for (; at < batch.ends[i]; ++at) {
            batch.logits[at] = rows[i * shogi::kLabels + batch.labels[at]];
        }
    }
}

}  // namespace keisei::engine
