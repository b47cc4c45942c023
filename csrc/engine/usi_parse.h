// USI lines taken apart. Nothing here knows a position.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keisei::engine {

// The words of a line, by blanks, tabs and a carriage return.
std::vector<std::string_view> split_words(std::string_view line);

// A decimal whole number and nothing else.
std::optional<int64_t> whole_number(std::string_view text);

struct SetOptionCommand {
    std::string name;
    std::string value;  // may hold blanks; empty where none is given
};

// Each of these takes the whole line and throws std::invalid_argument saying what is wrong.
SetOptionCommand parse_setoption(std::string_view line);

struct PositionCommand {
    std::string sfen;  // empty: startpos
    std::vector<std::string> moves;
};

PositionCommand parse_position(std::string_view line);

struct GoCommand {
    bool infinite = false;
    bool ponder = false;
    bool mate = false;
    // Milliseconds; a GUI may send a negative rest of time.
    std::optional<int64_t> btime, wtime, byoyomi, binc, winc, movetime, mate_time;
    std::optional<int64_t> depth, nodes;
    std::optional<std::vector<std::string>> searchmoves;
};

// Words in any order and any subset. A `go` is always answered, so a bad word does not spoil it:
// it is skipped, and `complaints` says so. Serves `ponderhit` with times as well.
GoCommand parse_go(std::string_view line, std::vector<std::string>& complaints);

}  // namespace keisei::engine
