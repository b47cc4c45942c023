// A USI session from its first line to the end of input, without weights: whatever comes, each `go`
// is answered once, and only whole lines of printable ASCII come back.
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "engine/usi_session.h"

namespace {

using namespace keisei::engine;

constexpr std::size_t kMostLines = 64;

// What would reach for the machine's files, or for more memory and threads than a fuzzer has.
bool costs(std::string_view line) {
    for (const std::string_view word : {"File", "DNN_Model", "Hash", "Threads", "BatchSize"}) {
        if (line.find(word) != std::string_view::npos) return true;
    }
    return false;
}

bool starts(std::string_view line, std::string_view word) {
    return line.substr(0, word.size()) == word;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
    Settings settings;
    settings.model = "uniform";
    settings.nodes_limit = 4;
    settings.search.hash_mib = 1;
    settings.search.threads = 1;
    settings.search.mate_mib = 0;
    std::ostringstream out;
    std::size_t goes = 0;
    {
        UsiSession session(out, settings, [](const auto&...) -> std::unique_ptr<Evaluator> {
            throw std::runtime_error("there is no network here");
        });
        std::string_view rest(reinterpret_cast<const char*>(data), size);
        for (std::size_t lines = 0; lines < kMostLines && !rest.empty(); ++lines) {
            const std::size_t end = std::min(rest.find('\n'), rest.size());
            InputLine line{.text = std::string(rest.substr(0, end)),
                           .read = std::chrono::steady_clock::now()};
            rest.remove_prefix(std::min(end + 1, rest.size()));
            if (costs(line.text)) continue;
            const auto words = split_words(line.text);
            goes += !words.empty() && words[0] == "go" ? 1 : 0;
            if (!session.take(line)) break;
        }
        session.end();
    }
    std::istringstream said(out.str());
    std::size_t answers = 0;
    for (std::string line; std::getline(said, line);) {
        answers += starts(line, "bestmove ") || starts(line, "checkmate ") ? 1 : 0;
        for (const char c : line) {
            if (c < ' ' || c > '~') std::abort();
        }
    }
    if (answers != goes) std::abort();
    return 0;
}
