// `go mate`, as far as one move answers it.
#pragma once

#include <string>

#include "shogi/position.h"

namespace keisei::engine {

// What follows `checkmate`: the mating move, `nomate` where no move gives check, so that no mate by
// checks can exist, and `timeout` where only a search could tell.
std::string answer_mate(const shogi::Position& position);

}  // namespace keisei::engine
