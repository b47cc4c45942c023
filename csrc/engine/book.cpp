#include "engine/book.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>

#include "engine/usi_output.h"
#include "engine/usi_parse.h"
#include "notation/sfen.h"
#include "notation/usi.h"
#include "shogi/apply.h"

namespace keisei::engine {
namespace {

constexpr std::string_view kHeader = "#YANEURAOU-DB2016";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kSfen = "sfen ";
// The moves of one position are looked at one by one; no book has more than a position has.
constexpr std::size_t kMostMoves = 600;

// Takes the first line off a text.
std::string_view next_line(std::string_view& text) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    return line;
}

bool is_comment(std::string_view line) {
    return line.empty() || line.starts_with('#') || line.starts_with("//");
}

// The first three fields of an SFEN.
std::string_view without_number(std::string_view sfen) {
    std::size_t end = 0;
    for (int field = 0; field < 3 && end != std::string_view::npos; ++field) {
        end = sfen.find(' ', end + (field > 0 ? 1 : 0));
    }
    return sfen.substr(0, end);
}

int number_or_zero(std::string_view text) {
    const auto number = whole_number(text);
    if (!number) return 0;
    constexpr int64_t kLimit = std::numeric_limits<int>::max();
    return static_cast<int>(std::clamp(*number, -kLimit, kLimit));
}

std::vector<char> read_file(const std::filesystem::path& path) {
    // A device or a pipe might never end.
    if (!std::filesystem::is_regular_file(path)) {
        throw std::runtime_error("expected a file, found none of this name");
    }
    std::ifstream file(path, std::ios::binary);
    std::vector<char> text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file) throw std::runtime_error("cannot be read");
    return text;
}

// As far as its length tells; some books also name the end of the game.
bool stands_for_move(std::string_view word) {
    return word.size() == 4 || word.size() == 5 || word == "resign" || word == "win";
}

[[noreturn]] void refuse(std::size_t line, std::string_view expected, std::string_view got) {
    throw std::runtime_error("line " + std::to_string(line) + ": expected " +
                             std::string(expected) + ", got '" + printable(got, 60) + "'");
}

}  // namespace

Book::Book(const std::filesystem::path& path) try : text_(read_file(path)) {
    std::string_view rest(text_.data(), text_.size());
    if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
    std::size_t number = 1;
    const std::string_view header = next_line(rest);
    if (!header.starts_with(kHeader)) refuse(1, kHeader, header);

    std::string_view position;  // the one whose moves follow
    const char* moves = nullptr;
    const auto end_position = [&](const char* end) {
        if (moves == nullptr) return;
        // A position that comes again adds to nothing: the first one holds.
        entries_.emplace(position, std::string_view(moves, static_cast<std::size_t>(end - moves)));
    };
    while (!rest.empty()) {
        const char* const begin = rest.data();
        const std::string_view line = next_line(rest);
        ++number;
        if (is_comment(line)) continue;
        if (line.starts_with(kSfen)) {
            end_position(begin);
            position = without_number(line.substr(kSfen.size()));
            moves = rest.data();
            try {
                notation::parse_sfen(std::string(position) + " 1", nullptr);
            } catch (const std::invalid_argument& e) {
                throw std::runtime_error("line " + std::to_string(number) + ": " + e.what());
            }
        } else if (moves == nullptr) {
            refuse(number, "sfen", line);
        } else {
            const auto words = split_words(line);
            if (!stands_for_move(words[0]) || words.size() > 5)
                refuse(number, "a move, its reply and numbers", line);
        }
    }
    end_position(text_.data() + text_.size());
} catch (const std::exception& e) {
    throw std::runtime_error("BookFile " + path.string() + ": " + e.what());
}

std::vector<BookMove> Book::moves(const shogi::Position& position) const {
    std::vector<BookMove> out;
    if (entries_.empty()) return out;
    const std::string sfen = notation::to_sfen(position, 1);
    const auto entry = entries_.find(without_number(sfen));
    if (entry == entries_.end()) return out;
    for (std::string_view rest = entry->second; !rest.empty() && out.size() < kMostMoves;) {
        const std::string_view line = next_line(rest);
        if (is_comment(line)) continue;
        const auto words = split_words(line);
        try {
            const auto label = notation::find_usi_move(position, words[0]);
            if (!label || std::ranges::find(out, *label, &BookMove::label) != out.end()) continue;
            BookMove move{.label = *label, .reply = {}, .score = 0, .depth = 0};
            if (words.size() > 1 && words[1] != "none") {
                const shogi::Position next = shogi::apply(position, *label);
                try {
                    if (notation::find_usi_move(next, words[1])) move.reply = words[1];
                } catch (const std::invalid_argument&) {
                    // Some books write other words where there is no reply.
                }
            }
            if (words.size() > 2) move.score = number_or_zero(words[2]);
            if (words.size() > 3) move.depth = number_or_zero(words[3]);
            out.push_back(std::move(move));
        } catch (const std::invalid_argument&) {
            continue;  // no move in USI's form, as `resign`
        }
    }
    return out;
}

const BookMove& choose(const std::vector<BookMove>& moves, int64_t score_difference,
                       uint64_t draw) {
    const int64_t best = std::ranges::max_element(moves, {}, &BookMove::score)->score;
    std::vector<const BookMove*> good;
    for (const auto& move : moves) {
        if (move.score >= best - score_difference) good.push_back(&move);
    }
    return *good[draw % good.size()];
}

}  // namespace keisei::engine
