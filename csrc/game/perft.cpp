#include "game/perft.h"

#include <stdexcept>
#include <string>

#include "shogi/apply.h"
#include "shogi/legal.h"

namespace keisei::game {

using namespace keisei::shogi;

uint64_t perft(const Position& position, int depth) {
    if (depth < 0) {
        throw std::invalid_argument("depth: expected 0 or more, got " + std::to_string(depth));
    }
    if (depth == 0) return 1;
    // The last ply is counted on the bitboards without making the moves.
    if (depth == 1) return static_cast<uint64_t>(count_legal(position));
    uint64_t nodes = 0;
    for_each_legal_plane(position, [&](int plane, Bitboard to) {
        while (to.any()) {
            nodes += perft(apply(position, plane * kSquares + to.pop_lowest()), depth - 1);
        }
    });
    return nodes;
}

}  // namespace keisei::game
