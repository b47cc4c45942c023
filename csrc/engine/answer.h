// What a search found, in USI's words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/search/search.h"
#include "game/game.h"

namespace keisei::engine {

// The moves of a line from a game's position on; `labels` are each in the frame of who moves.
std::vector<std::string> usi_line(const game::Game& game, const std::vector<int>& labels);

// `cp 12`, or `mate -4` where the end is proved.
std::string score_of(const SearchLine& line);

// The info lines of a report, `multipv` of them where there are so many; the best line is the last,
// as runners read the score from the line before `bestmove`. `milliseconds` is the search's age.
std::vector<std::string> info_lines(const SearchReport& report, const game::Game& game,
                                    int64_t multipv, int64_t milliseconds);

// `bestmove MOVE ponder REPLY`: the first moves of the best line, or `bestmove resign` if its score
// is at or below -resign_value centipawns (kNeverResign: never). The report has a line.
std::string best_move(const SearchReport& report, const game::Game& game, int64_t resign_value);

}  // namespace keisei::engine
