// `keisei_play --evaluate`: what the model says of positions, for tests and people.
#pragma once

#include <istream>
#include <ostream>

#include "engine/evaluator.h"

namespace keisei::engine {

// Reads one SFEN a line. Writes one line each: the value, then the kLabels logits by label, apart
// by blanks, with nine significant digits; or `error` and what is wrong with the SFEN. Blank lines
// are skipped. Returns 0 if every SFEN was good, else 1. Throws what the evaluator throws.
int evaluate_lines(std::istream& in, std::ostream& out, Evaluator& evaluator);

}  // namespace keisei::engine
