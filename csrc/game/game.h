// One game with its history, for people, notation, the engine and tests. Batches of games keep the
// same facts in tensors (csrc/batch) and judge them by the same function.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shogi/outcome.h"
#include "shogi/position.h"

namespace keisei::game {

struct Outcome {
    shogi::Ending ending;
    int winner;  // 0 black, 1 white, -1 nobody
};

// A position of the game, and how it was reached.
struct Reached {
    shogi::Position position;  // carries its occurrence
    uint64_t key;
    int label;         // of the move that led here, in the frame of who made it; -1 at the start
    int times_before;  // earlier occurrences in this game, not capped
    int plies_since_first;  // since the first of them, 0 if there is none
    shogi::CheckRuns checks;
};

// What a legal label leads to from the last of these positions, which are one game's from its start
// on.
Reached follow(std::span<const Reached> history, int label);

class Game {
 public:
    Game();
    // Throws std::invalid_argument (see notation/sfen.h).
    explicit Game(std::string_view sfen, bool tsume = false);
    // Starts from a valid position that keeps the occurrence it carries; without a history that
    // says how it was reached, it is the first of its kind to this game.
    Game(const shogi::Position& start, int move_number);

    const shogi::Position& position() const { return reached_.back().position; }
    // The SFEN move number: that of the start plus the moves since.
    int ply() const { return first_move_number_ + plies_played(); }
    int plies_played() const { return static_cast<int>(reached_.size()) - 1; }
    // All positions from the start on; never empty.
    const std::vector<Reached>& history() const { return reached_; }

    // Knows legality only: a game may go on past a draw. Throws std::invalid_argument if the label
    // is not legal, and changes nothing then.
    void push(int label);
    // Throws std::out_of_range if there is no move to take back.
    void pop();

    // How the game has ended here: no legal move, declaration (which wins at once), repetition, the
    // limit, in this order. `max_plies` counts from the game's start; 0 is no limit. Without
    // `declares` a game in which declaration is possible goes on until the mover does so.
    Outcome outcome(int max_plies = 0, bool declares = true) const;

 private:
    std::vector<Reached> reached_;
    int first_move_number_ = 1;
};

}  // namespace keisei::game
