#include "engine/evaluate_command.h"

#include <charconv>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "notation/sfen.h"

namespace keisei::engine {
namespace {

constexpr std::size_t kBatch = 64;

void append(std::string& text, float number) {
    constexpr int kDigits = 9;  // a float32 survives the way there and back
    char buffer[32];
    const auto end =
        std::to_chars(buffer, buffer + sizeof(buffer), number, std::chars_format::general, kDigits);
    text.append(buffer, end.ptr);
}

}  // namespace

int evaluate_lines(std::istream& in, std::ostream& out, Evaluator& evaluator) {
    int status = 0;
    // A line is a position, by its index in `positions`, or a complaint.
    std::vector<std::variant<std::size_t, std::string>> lines;
    std::vector<shogi::Position> positions;
    const auto flush = [&] {
        std::vector<float> logits(positions.size() * shogi::kLabels);
        std::vector<float> values(positions.size());
        evaluator.evaluate(positions, logits, values);
        for (const auto& line : lines) {
            std::string text;
            if (const auto* complaint = std::get_if<std::string>(&line)) {
                text = "error " + *complaint;
            } else {
                const std::size_t row = std::get<std::size_t>(line);
                append(text, values[row]);
                for (std::size_t label = 0; label < shogi::kLabels; ++label) {
                    text += ' ';
                    append(text, logits[row * shogi::kLabels + label]);
                }
            }
            out << text << '\n';
        }
        out.flush();
        lines.clear();
        positions.clear();
    };
    for (std::string line; std::getline(in, line);) {
        if (line.ends_with('\r')) line.pop_back();
        if (line.empty()) continue;
        try {
            positions.push_back(notation::parse_sfen(line, nullptr, true));
            lines.emplace_back(positions.size() - 1);
        } catch (const std::invalid_argument& e) {
            lines.emplace_back(e.what());
            status = 1;
        }
        if (positions.size() == kBatch) flush();
    }
    flush();
    return status;
}

}  // namespace keisei::engine
