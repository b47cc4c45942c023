#include "game/game.h"

#include <stdexcept>
#include <string>

#include "notation/sfen.h"
#include "shogi/apply.h"
#include "shogi/declaration.h"
#include "shogi/key.h"
#include "shogi/legal.h"

namespace keisei::game {

using namespace keisei::shogi;

Game::Game() : Game(startpos(), 1) {}

Game::Game(std::string_view sfen, bool tsume) {
    const Position start = notation::parse_sfen(sfen, &first_move_number_, tsume);
    reached_.push_back({start, key(start), -1, 0, 0, {0, 0}});
}

Game::Game(const Position& start, int move_number) : first_move_number_(move_number) {
    reached_.push_back({start, key(start), -1, 0, 0, {0, 0}});
}

Reached follow(std::span<const Reached> history, int label) {
    Reached next{};
    next.position = apply(history.back().position, label);
    next.key = key(next.position);
    next.label = label;
    next.checks = history.back().checks.after_move(in_check(next.position));
    // The same side moves in every second position only.
    const int here = static_cast<int>(history.size());
    int carried = 0;
    for (int i = here - 2; i >= 0; i -= 2) {
        const Reached& earlier = history[static_cast<std::size_t>(i)];
        if (earlier.key != next.key) continue;
        if (next.times_before == 0) carried = earlier.position.occurrence() + 1;
        ++next.times_before;
        next.plies_since_first = here - i;
    }
    next.position = with_occurrence(next.position, carried);
    return next;
}

void Game::push(int label) {
    if (!is_legal(position(), label)) {
        throw std::invalid_argument("label: " + std::to_string(label) + " is not legal in " +
                                    notation::to_sfen(position(), ply()));
    }
    reached_.push_back(follow(reached_, label));
}

void Game::pop() {
    if (plies_played() == 0) throw std::out_of_range("pop: there is no move to take back");
    reached_.pop_back();
}

Outcome Game::outcome(int max_plies, bool declares) const {
    const Reached& now = reached_.back();
    const Verdict verdict =
        judge({has_legal_move(now.position), declares && can_declare(now.position),
               now.times_before, now.plies_since_first, now.checks, plies_played(), max_plies});
    const int mover = now.position.white_to_move() ? 1 : 0;
    return {verdict.ending, verdict.mover_result == 0  ? -1
                            : verdict.mover_result > 0 ? mover
                                                       : 1 - mover};
}

}  // namespace keisei::game
