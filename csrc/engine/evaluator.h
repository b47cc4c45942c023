// What judges positions for the engine: a network, or none.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "shogi/label.h"

namespace keisei::engine {

// Positions with the labels that are wanted of each: those of position i are the ones from
// ends[i - 1] (0 for the first) to ends[i].
struct EvaluationBatch {
    std::span<const shogi::Position> positions;
    std::span<const uint32_t> ends;    // one a position
    std::span<const uint16_t> labels;  // one after the other, as many as the last end
    std::span<float> logits;           // out: one a label
    std::span<float> values;           // out: one a position, in [-1, 1]
};

class Evaluator {
 public:
    virtual ~Evaluator() = default;

    // For each position its kLabels policy logits (row by row) and its value in [-1, 1], both seen
    // by the side to move; illegal labels have logits too. `logits` holds positions.size() *
    // kLabels entries, `values` positions.size(). Throws std::runtime_error with a one-line text.
    // May be called from several threads at once.
    virtual void evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                          std::span<float> values) = 0;

    // The same for the labels that are wanted, by way of `evaluate` unless there is a better one.
    virtual void evaluate_labels(const EvaluationBatch& batch);

    // How many positions at once are evaluated best, where nothing else is asked for.
    virtual int best_batch() const { return 8; }
    // How many threads keep it busy, where nothing else is asked for and there are cores for them.
    virtual int best_threads() const { return 2; }

    // Where it runs and how, for people.
    virtual std::string describe() const = 0;
};

}  // namespace keisei::engine
