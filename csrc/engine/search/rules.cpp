#include "engine/search/rules.h"

#include "shogi/legal.h"

namespace keisei::engine {
namespace {

using namespace keisei::shogi;

// Whether a piece of this kind gains nothing by staying as it is on `to`.
bool should_promote(int kind, int to) {
    return kind == PAWN || kind == BISHOP || kind == ROOK || (kind == LANCE && rank_of(to) == 1);
}

Fate fate_of(Verdict verdict, uint16_t plies) {
    if (verdict.ending == Ending::none) return {};
    const Proof proof = verdict.mover_result > 0   ? Proof::win
                        : verdict.mover_result < 0 ? Proof::loss
                                                   : Proof::draw;
    return {proof, plies};
}

}  // namespace

bool list_moves(const Position& position, bool generate_all, std::vector<uint16_t>& labels) {
    LegalMask mask;
    legal_mask(position, mask);
    bool complete = true;
    for (int w = 0; w < kMaskWords; ++w) {
        for (uint32_t bits = mask.word[w]; bits != 0; bits &= bits - 1) {
            const int label = w * kWordBits + lowest_bit(bits);
            const int promoting = label + kPromotionPlane * kSquares;
            if (!generate_all && promoting < kDropPlane * kSquares && mask.test(promoting) &&
                should_promote(move_of_label(position, label).kind, label % kSquares)) {
                complete = false;
                continue;
            }
            labels.push_back(static_cast<uint16_t>(label));
        }
    }
    return complete;
}

Fate end_of_game(const game::Reached& reached, bool has_move, int depth, const TreeRules& rules) {
    const bool checked = reached.checks.opponent > 0;
    const Verdict verdict = judge(
        {has_move, can_declare(reached.position, checked, rules.declaration), reached.times_before,
         reached.plies_since_first, reached.checks, rules.moves_at_root + depth, rules.max_moves});
    // Declaring is a move of its own.
    return fate_of(verdict, verdict.ending == Ending::declaration ? 1 : 0);
}

void remember(Node& node, std::span<const game::Reached> line) {
    const game::Reached& here = line.back();
    node.key = here.key;
    node.occurrence = static_cast<uint8_t>(here.position.occurrence());
    node.times_before = here.times_before;
    node.plies_since_first = here.plies_since_first;
    node.checks = here.checks;
    node.plies_since_last = 0;
    if (here.times_before == 0) return;
    for (std::size_t back = 2; back < line.size(); back += 2) {
        if (line[line.size() - 1 - back].key != here.key) continue;
        node.plies_since_last = static_cast<int32_t>(back);
        return;
    }
}

Fate repeated_in_tree(const Node& node, int depth) {
    if (node.plies_since_last == 0 || node.plies_since_last > depth) return {};
    constexpr int kAsIfThreeTimes = 3;
    return fate_of(judge({true, false, kAsIfThreeTimes, node.plies_since_last, node.checks, 0, 0}),
                   0);
}

}  // namespace keisei::engine
