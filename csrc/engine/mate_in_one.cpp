#include "engine/mate_in_one.h"

#include "notation/usi.h"
#include "shogi/apply.h"
#include "shogi/legal.h"

namespace keisei::engine {

std::string answer_mate(const shogi::Position& position) {
    bool any_check = false;
    for (const int label : notation::legal_labels(position)) {
        const shogi::Position next = shogi::apply(position, label);
        if (!shogi::in_check(next)) continue;
        if (!shogi::has_legal_move(next)) return notation::to_usi(position, label);
        any_check = true;
    }
    return any_check ? "timeout" : "nomate";
}

}  // namespace keisei::engine
