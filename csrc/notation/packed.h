// Positions in 32 bytes, as other programs store them by the million, and records around them.
//
// hcp is Apery's HuffmanCodedPos, which dlshogi and cshogi read; a packed SFEN is YaneuraOu's, the
// first 32 of the 40 bytes of a psv (PackedSfenValue). Both write side to move, both kings'
// squares, the other squares and the hands as codes of 1 to 8 bits that fill the 256 bits exactly
// when all 40 pieces are there; so a position that lacks a piece (a handicap, a mate problem) has
// neither.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "shogi/position.h"

namespace keisei::notation {

constexpr std::size_t kPackedBytes = 32;
constexpr std::size_t kPsvBytes = 40;

using PackedPosition = std::array<uint8_t, kPackedBytes>;

// Throws std::invalid_argument unless all 40 pieces are there.
PackedPosition to_hcp(const shogi::Position& position);
PackedPosition to_packed_sfen(const shogi::Position& position);

// Throws std::invalid_argument that says what is wrong: another length, a code that does not exist,
// a position that no SFEN could give.
shogi::Position parse_hcp(std::span<const uint8_t> bytes);
shogi::Position parse_packed_sfen(std::span<const uint8_t> bytes);

// What a psv says beside its position: 2 bytes each of score, move and move number, 1 of result.
struct PsvFacts {
    int score = 0;             // centipawns for the side to move, -32768 to 32767
    std::optional<int> label;  // the move played; none where the field is 0
    int move_number = 1;       // 1 to 65535
    int result = 0;            // 1: the side to move won, -1: it lost, 0: a draw
};

// Throws std::invalid_argument if a number does not fit or the position cannot be packed. `label`
// must be legal.
std::array<uint8_t, kPsvBytes> to_psv(const shogi::Position& position, const PsvFacts& facts);

// Throws std::invalid_argument as `parse_packed_sfen`, and for a move that is not legal.
shogi::Position parse_psv(std::span<const uint8_t> bytes, PsvFacts& facts);

}  // namespace keisei::notation
