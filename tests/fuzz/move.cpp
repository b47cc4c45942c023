// The parser of USI moves, in positions from all stages of a game: refuses with
// std::invalid_argument, or reads a legal move whose text comes out again as it was.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "notation/sfen.h"
#include "notation/usi.h"

namespace {

using namespace keisei;

constexpr std::array<std::string_view, 8> kSfens = {
    notation::kStartposSfen,
    "lnsgkgsnl/1r5b1/pppppp1pp/6p2/9/2P6/PP1PPPPPP/1B5R1/LNSGKGSNL b - 3",
    "8k/9/8P/9/9/9/9/9/4K4 b G 1",
    "4k4/9/9/9/9/9/4p4/4g4/4K4 b - 1",
    "l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w RGgsn5p 1",
    "4k4/9/9/9/9/9/9/9/4K4 w RB4G4S4N4L18Prb 301",
    "+R+R+B+BKGGSS/SS7/9/9/9/9/9/9/k8 b 2P 1",
    "8k/9/8P/9/9/9/9/9/9 b G2r2b3g4s4n4l17p 1",
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
    static const auto kPositions = [] {
        std::array<shogi::Position, kSfens.size()> out{};
        std::ranges::transform(kSfens, out.begin(), [](std::string_view sfen) {
            return notation::parse_sfen(sfen, nullptr, true);
        });
        return out;
    }();
    if (size == 0) return 0;
    const shogi::Position& position = kPositions[data[0] % kPositions.size()];
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    int label = -1;
    try {
        label = notation::parse_usi_move(position, text);
    } catch (const std::invalid_argument& e) {
        if (*e.what() == '\0') std::abort();
        return 0;
    }
    if (notation::to_usi(position, label) != text) std::abort();
    if (notation::find_usi_move(position, text) != label) std::abort();
    const auto legal = notation::legal_labels(position);
    if (!std::ranges::binary_search(legal, label)) std::abort();
    return 0;
}
