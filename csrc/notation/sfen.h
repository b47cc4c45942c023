// SFEN, the one-line text of a position: `board side hands move-number`.
//
// Exactly the canonical text is read, the one that `to_sfen` writes: four fields with one space
// between them, empty squares counted in one digit, hands as rook, bishop, gold, silver, knight,
// lance, pawn with black's first, a count only from 2 on. So every text that is accepted
// round-trips to itself, and two texts that differ are never the same position.
#pragma once

#include <string>
#include <string_view>

#include "shogi/position.h"

namespace keisei::notation {

constexpr std::string_view kStartposSfen =
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1";
constexpr int kMaxMoveNumber = 1'000'000;

// Throws std::invalid_argument that says what is wrong and where. `tsume` admits a position in
// which the side to move has no king. `move_number` may be null.
shogi::Position parse_sfen(std::string_view sfen, int* move_number, bool tsume = false);

std::string to_sfen(const shogi::Position& position, int move_number);

// The board for people: SFEN letters with coordinates, hands and the side to move, several lines
// without a final newline.
std::string to_diagram(const shogi::Position& position, int move_number);

// `7g`, the name of a square as black sees it.
std::string square_name(int square);

}  // namespace keisei::notation
