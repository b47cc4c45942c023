// An opening book in YaneuraOu's text form (`#YANEURAOU-DB2016 1.00`): after a line `sfen SFEN` the
// moves of that position, one a line: `move reply score depth count`. All after the move may be
// missing; a reply of `none` is none; lines with `#` or `//` in front are comments. The file need
// not be sorted. The move number of a position does not count.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shogi/position.h"

namespace keisei::engine {

struct BookMove {
    int label;
    std::string reply;  // a USI move that is legal after it, or empty
    int score;          // centipawns for who moves; 0 if not said
    int depth;
};

class Book {
 public:
    Book() = default;  // holds nothing
    // Reads the whole file into memory. Throws std::runtime_error in one line, with the line's
    // number where one is not of the form.
    explicit Book(const std::filesystem::path& path);
    Book(Book&&) = default;
    Book& operator=(Book&&) = default;

    // The legal ones among the moves of a position, in the file's order; what the file says twice
    // counts once, in the first place.
    std::vector<BookMove> moves(const shogi::Position& position) const;

    std::size_t positions() const { return entries_.size(); }

 private:
    // The views are parts of text_, which keeps its place when the book moves.
    std::vector<char> text_;
    std::unordered_map<std::string_view, std::string_view> entries_;  // board, side, hands -> moves
};

// Of the moves whose score is at most `score_difference` below the best, one by the number `draw`.
// `moves` is not empty.
const BookMove& choose(const std::vector<BookMove>& moves, int64_t score_difference, uint64_t draw);

}  // namespace keisei::engine
