#include "game/perft.h"

#include <stdexcept>
#include <string>

#include "shogi/perft.h"

namespace keisei::game {

uint64_t perft(const shogi::Position& position, int depth) {
    if (depth < 0) {
        throw std::invalid_argument("depth: expected 0 or more, got " + std::to_string(depth));
    }
    return shogi::perft(position, depth);
}

}  // namespace keisei::game
