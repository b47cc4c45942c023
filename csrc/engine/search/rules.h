// How games end inside the tree, by the rules of shogi/outcome.h.
#pragma once

#include <span>
#include <vector>

#include "engine/search/node.h"
#include "engine/search/settings.h"
#include "game/game.h"

namespace keisei::engine {

struct TreeRules {
    shogi::DeclarationRule declaration = shogi::DeclarationRule::points27;
    int max_moves = 0;      // as SearchSettings::max_moves_to_draw
    int moves_at_root = 0;  // made before the root, by SFEN's count
    bool generate_all = true;
    float draw_for_black = 0;  // what a draw is worth to black; to white the opposite

    // Whether a game that ends after so many plies more ends by that, and not by the limit.
    bool within_limit(int plies_under_root) const {
        return max_moves == 0 || moves_at_root + plies_under_root <= max_moves;
    }
    float draw_for_mover(bool white) const { return white ? -draw_for_black : draw_for_black; }
};

// What the mover gets of a fate.
inline float worth(Fate fate, float draw_for_mover) {
    return fate.proof == Proof::win ? 1.0f : fate.proof == Proof::loss ? -1.0f : draw_for_mover;
}

// The legal labels of a position, ascending, without the moves that `generate_all` = false leaves
// out: those of a pawn, bishop or rook, or of a lance to the second rank, that could promote and do
// not. Returns whether nothing was left out.
bool list_moves(const shogi::Position& position, bool generate_all, std::vector<uint16_t>& labels);

// Whether the game is over in the last of these positions, `depth` plies under the root, and how
// for its mover.
Fate end_of_game(const game::Reached& reached, bool has_move, int depth, const TreeRules& rules);

// Facts of the history that a new node keeps. `line` ends with its position.
void remember(Node& node, std::span<const game::Reached> line);

// A position that occurred before under the root, `depth` plies above this node, is treated as if
// it had come for the fourth time already: whoever could do better would have done so the first
// time. It is no proof, and it is not so any more when the root has moved past that position.
Fate repeated_in_tree(const Node& node, int depth);

}  // namespace keisei::engine
