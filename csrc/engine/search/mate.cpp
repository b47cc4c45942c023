#include "engine/search/mate.h"

#include "notation/usi.h"
#include "shogi/apply.h"
#include "shogi/legal.h"

namespace keisei::engine {

MateResult solve_mate(const game::Game& game, const MateLimits&, const Stop&) {
    MateResult out;
    bool any_check = false;
    for (const int label : notation::legal_labels(game.position())) {
        ++out.nodes;
        const shogi::Position next = shogi::apply(game.position(), label);
        if (!shogi::in_check(next)) continue;
        any_check = true;
        if (!shogi::has_legal_move(next)) {
            out.answer = MateAnswer::mate;
            out.labels = {label};
            return out;
        }
    }
    out.answer = any_check ? MateAnswer::unknown : MateAnswer::no_mate;
    return out;
}

}  // namespace keisei::engine
