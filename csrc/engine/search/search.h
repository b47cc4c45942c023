// The search for a move: a tree over an evaluator's policy and values, kept between moves.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/evaluator.h"
#include "engine/search/settings.h"
#include "engine/search/stop.h"
#include "game/game.h"

namespace keisei::engine {

struct SearchLimits {
    int64_t nodes = 0;             // playouts of this search; 0: no limit
    int depth = 0;                 // moves of the best line; 0: no limit
    std::vector<int> root_labels;  // legal ones that may be played; empty: all
    int multipv = 1;               // lines to report, at least
    int report_ms = 10;            // about the time between two reports; 0: only the first and last
};

struct SearchLine {
    std::vector<int> labels;  // each in the frame of who moves; never empty
    float value = 0;          // expected result for the mover at the root, in [-1, 1]
    int mate = 0;             // plies to a proved end: > 0 the mover wins, < 0 loses, 0 not proved
    bool draw = false;        // proved to be a draw
    int64_t visits = 0;
    float policy = 0;  // the network's probability
};

struct SearchReport {
    int64_t nodes = 0;        // playouts of this search
    int64_t evaluations = 0;  // positions that went through an evaluator for them
    double waited = 0;        // seconds for these, of all threads together
    int depth = 0;            // moves of the best line
    int seldepth = 0;         // of the longest one looked at
    int hashfull = 0;         // per mille of the memory
    // Best first: what would be played is the first. At least max(multipv, 2) where so many moves
    // were visited; empty before the root was evaluated.
    std::vector<SearchLine> lines;
    bool proved = false;  // more search changes nothing: a forced win, or every move decided
};

// Reports come on the thread that called run().
using Reporter = std::function<void(const SearchReport&)>;

class Search {
 public:
    Search();
    ~Search();  // waits for evaluations that are under way
    Search(const Search&) = delete;
    Search& operator=(const Search&) = delete;

    // Waits for the evaluations that a stopped search left under way, at most until the stop: all
    // that follows would wait for them. Returns whether they are done.
    bool await_last(const Stop& stop);

    // The evaluators must outlive this search or its next call; several share the work. Forgets the
    // tree.
    void set_evaluators(std::span<Evaluator* const> evaluators);
    // Forgets the tree if what changed would have changed it.
    void configure(const SearchSettings& settings);
    // Forgets the tree.
    void clear();
    // Takes the memory that the settings ask for, which else the first position does.
    void take_memory();

    // Keeps the part of the tree under this position if the game goes on from the last one that was
    // set; also where moves were taken back to it or the game is the same.
    void set_position(const game::Game& game);

    // Until a limit, a proof of the root's result, or the stop. There must be a legal move at the
    // root; that it could declare is not looked at. Answers at once when stopped, even while an
    // evaluation is under way: that one ends in the background, and the next call waits for it.
    // With `limits.nodes == 0 && limits.depth == 0` it runs until stopped, even after a proof.
    // Throws std::runtime_error what the evaluator throws.
    SearchReport run(const SearchLimits& limits, Stop& stop, const Reporter& reporter = {});

 private:
    class Implementation;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace keisei::engine
