#include "engine/answer.h"

#include <algorithm>

#include "engine/options.h"
#include "engine/score.h"
#include "notation/usi.h"
#include "shogi/apply.h"

namespace keisei::engine {
namespace {

constexpr int64_t kMillisecondsPerSecond = 1000;

}  // namespace

std::vector<std::string> usi_line(const game::Game& game, const std::vector<int>& labels) {
    std::vector<std::string> out;
    shogi::Position position = game.position();
    for (const int label : labels) {
        out.push_back(notation::to_usi(position, label));
        position = shogi::apply(position, label);
    }
    return out;
}

std::string score_of(const SearchLine& line) {
    if (line.mate != 0) return "mate " + std::to_string(line.mate);
    return "cp " + std::to_string(centipawns(line.value));
}

std::vector<std::string> info_lines(const SearchReport& report, const game::Game& game,
                                    int64_t multipv, int64_t milliseconds) {
    std::vector<std::string> out;
    const int64_t ms = std::max<int64_t>(milliseconds, 0);
    const int64_t nps = report.nodes * kMillisecondsPerSecond / std::max<int64_t>(ms, 1);
    const auto count = std::min(report.lines.size(), static_cast<std::size_t>(multipv));
    for (std::size_t i = count; i-- > 0;) {
        const SearchLine& line = report.lines[i];
        std::string text = "info depth " + std::to_string(report.depth) + " seldepth " +
                           std::to_string(std::max(report.seldepth, report.depth)) + " time " +
                           std::to_string(ms) + " nodes " + std::to_string(report.nodes) + " nps " +
                           std::to_string(nps) + " hashfull " + std::to_string(report.hashfull);
        if (multipv > 1) text += " multipv " + std::to_string(i + 1);
        text += " score " + score_of(line) + " pv";
        for (const auto& move : usi_line(game, line.labels)) text += ' ' + move;
        out.push_back(std::move(text));
    }
    return out;
}

std::string best_move(const SearchReport& report, const game::Game& game, int64_t resign_value) {
    const SearchLine& line = report.lines.front();
    const bool hopeless =
        line.mate < 0 || (line.mate == 0 && centipawns(line.value) <= -resign_value);
    if (hopeless && resign_value < kNeverResign) return "bestmove resign";
    const auto moves = usi_line(game, line.labels);
    return "bestmove " + moves[0] + (moves.size() > 1 ? " ponder " + moves[1] : "");
}

}  // namespace keisei::engine
