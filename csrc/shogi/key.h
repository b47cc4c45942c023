// A 64-bit key of a position: board, both hands, side to move. Repetition compares keys alone: two
// different positions share one with probability 2^-64 a pair.
#pragma once

#include "shogi/position.h"

namespace keisei::shogi {

// Folded 128-bit products, the construction of wyhash: each round takes 128 bits of the position.
KEISEI_HD uint64_t key(const Position& position) {
    const auto pair = [](uint32_t low, uint32_t high) {
        return static_cast<uint64_t>(low) | (static_cast<uint64_t>(high) << 32);
    };
    const Bitboard& own = position.own;
    const Bitboard(&k)[4] = position.kind;
    uint64_t h = 0x2d358dccaa6c78a5ull;
    h = folded_product(pair(own.word(0), own.word(1)) ^ 0x8bb84b93962eacc9ull,
                       pair(own.word(2), k[0].word(0)) ^ h);
    h = folded_product(pair(k[0].word(1), k[0].word(2)) ^ 0x4b33a62ed433d4a3ull,
                       pair(k[1].word(0), k[1].word(1)) ^ h);
    h = folded_product(pair(k[1].word(2), k[2].word(0)) ^ 0x4d5a2da51de1aa47ull,
                       pair(k[2].word(1), k[2].word(2)) ^ h);
    h = folded_product(pair(k[3].word(0), k[3].word(1)) ^ 0xa0761d6478bd642full,
                       pair(k[3].word(2), position.hand[1]) ^ h);
    const uint64_t hand = position.hand[0] & ~kOccurrenceMask;
    return folded_product(hand ^ 0xe7037ed1a0b428dbull, h ^ 0x8ebc6af09c88c6e3ull);
}

}  // namespace keisei::shogi
