#include "engine/usi_parse.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "engine/usi_output.h"

namespace keisei::engine {
namespace {

constexpr std::string_view kBlanks = " \t\r";

struct NumberWord {
    std::string_view word;
    std::optional<int64_t> GoCommand::* field;
};
constexpr NumberWord kNumberWords[] = {
    {"btime", &GoCommand::btime}, {"wtime", &GoCommand::wtime}, {"byoyomi", &GoCommand::byoyomi},
    {"binc", &GoCommand::binc},   {"winc", &GoCommand::winc},   {"movetime", &GoCommand::movetime},
    {"depth", &GoCommand::depth}, {"nodes", &GoCommand::nodes},
};

bool is_go_word(std::string_view word) {
    return word == "infinite" || word == "ponder" || word == "mate" || word == "searchmoves" ||
           std::ranges::find(kNumberWords, word, &NumberWord::word) != std::end(kNumberWords);
}

std::string quoted(std::string_view text) {
    return "'" + printable(text, 80) + "'";
}

}  // namespace

std::optional<int64_t> whole_number(std::string_view text) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::vector<std::string_view> split_words(std::string_view line) {
    std::vector<std::string_view> words;
    for (std::size_t at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
        const std::size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
        words.push_back(line.substr(at, end - at));
        at = line.find_first_not_of(kBlanks, end);
    }
    return words;
}

SetOptionCommand parse_setoption(std::string_view line) {
    const auto words = split_words(line);
    if (words.size() < 3 || words[1] != "name") {
        throw std::invalid_argument("setoption: expected 'setoption name NAME value VALUE'");
    }
    SetOptionCommand out{std::string(words[2]), {}};
    if (words.size() == 3) return out;
    if (words[3] != "value") {
        throw std::invalid_argument("setoption " + printable(words[2], 80) +
                                    ": expected 'value' after the name, got " + quoted(words[3]));
    }
    // A value is the rest of the line: a path may hold blanks.
    if (words.size() > 4) {
        const char* begin = words[4].data();
        const char* end = words.back().data() + words.back().size();
        out.value.assign(begin, end);
    }
    return out;
}

PositionCommand parse_position(std::string_view line) {
    const auto words = split_words(line);
    if (words.size() < 2 || (words[1] != "startpos" && words[1] != "sfen")) {
        throw std::invalid_argument("position: expected 'startpos' or 'sfen', got " +
                                    (words.size() < 2 ? "nothing" : quoted(words[1])));
    }
    PositionCommand out;
    std::size_t at = 2;
    if (words[1] == "sfen") {
        for (; at < words.size() && words[at] != "moves"; ++at) {
            if (!out.sfen.empty()) out.sfen += ' ';
            out.sfen += words[at];
        }
        // Some programs leave out the move number.
        constexpr int kWithoutNumber = 3;
        if (std::ranges::count(out.sfen, ' ') + 1 == kWithoutNumber) out.sfen += " 1";
        if (out.sfen.empty()) throw std::invalid_argument("position: no SFEN after 'sfen'");
    }
    if (at == words.size()) return out;
    if (words[at] != "moves") {
        throw std::invalid_argument("position: expected 'moves', got " + quoted(words[at]));
    }
    out.moves.assign(words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end());
    return out;
}

GoCommand parse_go(std::string_view line, std::vector<std::string>& complaints) {
    const auto words = split_words(line);
    GoCommand out;
    for (std::size_t at = 1; at < words.size(); ++at) {
        const std::string_view word = words[at];
        const bool has_next = at + 1 < words.size();
        if (word == "infinite") {
            out.infinite = true;
        } else if (word == "ponder") {
            out.ponder = true;
        } else if (word == "mate") {
            out.mate = true;
            if (has_next && words[at + 1] == "infinite") {
                ++at;
            } else if (has_next && whole_number(words[at + 1])) {
                out.mate_time = whole_number(words[++at]);
            }
        } else if (word == "searchmoves") {
            out.searchmoves.emplace();
            while (at + 1 < words.size() && !is_go_word(words[at + 1])) {
                out.searchmoves->emplace_back(words[++at]);
            }
            if (out.searchmoves->empty()) {
                complaints.push_back("go searchmoves: expected moves, got none, skipped");
                out.searchmoves.reset();
            }
        } else if (const auto* number = std::ranges::find(kNumberWords, word, &NumberWord::word);
                   number != std::end(kNumberWords)) {
            auto value = has_next ? whole_number(words[at + 1]) : std::nullopt;
            const bool counts = word == "depth" || word == "nodes";
            if (counts && value.value_or(1) < 1) value.reset();
            if (value) {
                out.*number->field = value;
                ++at;
            } else {
                const bool skip = has_next && !is_go_word(words[at + 1]);
                complaints.push_back("go " + std::string(word) + ": expected a " +
                                     (counts ? "positive " : "") + "whole number, got " +
                                     (has_next ? quoted(words[at + 1]) : "nothing") + ", skipped");
                if (skip) ++at;
            }
        } else {
            complaints.push_back("go: unknown word " + quoted(word) + ", skipped");
        }
    }
    return out;
}

}  // namespace keisei::engine
