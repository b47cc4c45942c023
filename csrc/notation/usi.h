// Moves as USI writes them: `7g7f`, `7g7f+`, `P*5e`, squares as black sees them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shogi/position.h"

namespace keisei::notation {

// The label of a legal move. Throws std::invalid_argument if the text is no USI move or the move is
// not legal in the position.
int parse_usi_move(const shogi::Position& position, std::string_view usi);

// The same, but nothing if the move is a USI move that is not legal here.
std::optional<int> find_usi_move(const shogi::Position& position, std::string_view usi);

// `label` must be legal in the position.
std::string to_usi(const shogi::Position& position, int label);

// The legal labels in ascending order.
std::vector<int> legal_labels(const shogi::Position& position);

}  // namespace keisei::notation
