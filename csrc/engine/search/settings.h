// What a search can be told before it starts.
#pragma once

#include <cstdint>

#include "shogi/declaration.h"

namespace keisei::engine {

// How moves at the root share the budget.
enum class RootChoice : uint8_t {
    automatic,  // gumbel where a small limit of nodes is given, else puct
    puct,
    gumbel,  // sequential halving over the most promising moves; needs a limit of nodes
};

struct SearchSettings {
    int threads = 0;          // that collect positions, for each evaluator; 0: what suits it
    int batch_size = 0;       // positions evaluated together; 0: what the evaluator likes best
    int64_t hash_mib = 1024;  // the tree's memory
    // PUCT: U = c(N) * P * sqrt(N) / (1 + n), c(N) = puct_init + log((1 + N + base) / base).
    double puct_init = 1.25;
    double puct_base = 19652.0;
    double root_puct_init = 1.25;
    // A move that was never tried is worth its parent's value less this, times the root of the
    // policy's share that was tried.
    double fpu_reduction = 0.25;
    double root_fpu_reduction = 0.0;
    double policy_temperature = 2.0;
    // What a draw is worth to each side, in [-1, 1].
    double draw_value_black = 0.0;
    double draw_value_white = 0.0;
    int max_moves_to_draw = 0;  // move number of SFEN; 0: no limit
    shogi::DeclarationRule declaration = shogi::DeclarationRule::points27;
    bool generate_all =
        true;  // false: leaves out most moves of pawn, bishop, rook without promotion
    RootChoice root = RootChoice::automatic;
    int gumbel_limit = 800;     // the largest limit of nodes for which automatic means gumbel
    double gumbel_scale = 0.0;  // of the noise at the root; 0: none, the strongest play
    uint64_t seed = 0;
    // Memory of the mate search beside the tree; 0: none.
    int64_t mate_mib = 64;
    // What a mate search may look at in each position before it is evaluated; 0: none.
    int leaf_mate_nodes = 20;

    friend bool operator==(const SearchSettings&, const SearchSettings&) = default;
};

}  // namespace keisei::engine
