// The SFEN parser: refuses with std::invalid_argument, or reads a text that comes out again as it
// was and a position that can be played from.
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "game/game.h"
#include "notation/sfen.h"
#include "notation/usi.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
    using namespace keisei;
    if (size == 0) return 0;
    const bool tsume = (data[0] & 1) != 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    int number = 0;
    shogi::Position position{};
    try {
        position = notation::parse_sfen(text, &number, tsume);
    } catch (const std::invalid_argument& e) {
        if (*e.what() == '\0') std::abort();
        return 0;
    }
    if (notation::to_sfen(position, number) != text) std::abort();
    game::Game game(text, tsume);
    for (const int label : notation::legal_labels(position)) {
        game.push(label);
        if (game.outcome().ending == shogi::Ending::repetition) std::abort();
        game.pop();
    }
    return 0;
}
