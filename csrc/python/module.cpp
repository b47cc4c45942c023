// keisei._core: one position for people, tests and notation. keisei/_core.pyi has the types.
#include <pybind11/numpy.h>
#include <pybind11/operators.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "game/game.h"
#include "game/perft.h"
#include "notation/packed.h"
#include "notation/sfen.h"
#include "notation/usi.h"
#include "shogi/declaration.h"
#include "shogi/key.h"
#include "shogi/legal.h"
#include "shogi/planes.h"

namespace py = pybind11;

namespace {

using keisei::game::Game;
using keisei::game::Outcome;
namespace notation = keisei::notation;
namespace shogi = keisei::shogi;

const char* ending_name(shogi::Ending ending) {
    switch (ending) {
        case shogi::Ending::no_legal_move:
            return "no_legal_move";
        case shogi::Ending::declaration:
            return "declaration";
        case shogi::Ending::repetition:
            return "repetition";
        case shogi::Ending::perpetual_check:
            return "perpetual_check";
        case shogi::Ending::move_limit:
            return "move_limit";
        case shogi::Ending::none:
            break;
    }
    return "none";
}

std::optional<int> winner_of(const Outcome& outcome) {
    return outcome.winner < 0 ? std::nullopt : std::optional<int>(outcome.winner);
}

std::string describe(const Outcome& outcome) {
    const auto winner = winner_of(outcome);
    return std::string("Outcome(ending='") + ending_name(outcome.ending) +
           "', winner=" + (winner ? std::to_string(*winner) : "None") + ")";
}

int checked_label(const Game& game, long long label) {
    const bool in_range = label >= 0 && label < shogi::kLabels;
    if (!in_range) {
        throw std::invalid_argument("label: expected 0 to " + std::to_string(shogi::kLabels - 1) +
                                    ", got " + std::to_string(label));
    }
    if (!shogi::is_legal(game.position(), static_cast<int>(label))) {
        throw std::invalid_argument("label: " + std::to_string(label) + " is not legal in " +
                                    notation::to_sfen(game.position(), game.ply()));
    }
    return static_cast<int>(label);
}

std::string usi_of_history(const Game& game, std::size_t index) {
    const auto& history = game.history();
    return notation::to_usi(history[index - 1].position, history[index].label);
}

std::optional<std::string> last_move(const Game& game) {
    if (game.plies_played() == 0) return std::nullopt;
    return usi_of_history(game, game.history().size() - 1);
}

std::vector<std::string> moves_played(const Game& game) {
    std::vector<std::string> out;
    for (std::size_t i = 1; i < game.history().size(); ++i) out.push_back(usi_of_history(game, i));
    return out;
}

std::vector<std::string> legal_moves(const Game& game) {
    std::vector<std::string> out;
    for (const int label : notation::legal_labels(game.position())) {
        out.push_back(notation::to_usi(game.position(), label));
    }
    return out;
}

std::optional<Outcome> outcome_of(const Game& game, std::optional<int> max_plies, bool declares) {
    if (max_plies && *max_plies < 1) {
        throw std::invalid_argument("max_plies: expected 1 or more, or None, got " +
                                    std::to_string(*max_plies));
    }
    const Outcome outcome = game.outcome(max_plies.value_or(0), declares);
    if (outcome.ending == shogi::Ending::none) return std::nullopt;
    return outcome;
}

// The mask and the words have the dtype of the batch tensors.
py::array_t<int32_t> as_int32(const void* words, py::ssize_t count) {
    py::array_t<int32_t> out(count);
    std::memcpy(out.mutable_data(), words, static_cast<std::size_t>(count) * sizeof(int32_t));
    return out;
}

py::array_t<int32_t> legal_mask(const Game& game) {
    shogi::LegalMask mask;
    shogi::legal_mask(game.position(), mask);
    return as_int32(mask.word, shogi::kMaskWords);
}

py::array_t<float> planes(const Game& game, bool opponent) {
    shogi::Position position = game.position();
    if (opponent) {
        position = shogi::with_occurrence(shogi::turned(position), position.occurrence());
    }
    shogi::Bitboard bits[shogi::kFeaturePlanes];
    shogi::feature_planes(position, bits);
    py::array_t<float> out({shogi::kFeaturePlanes, shogi::kFiles, shogi::kRanks});
    float* to = out.mutable_data();
    for (const auto& plane : bits) {
        for (int square = 0; square < shogi::kSquares; ++square) {
            *to++ = plane.test(square) ? 1.0f : 0.0f;
        }
    }
    return out;
}

shogi::Position position_of_words(const py::object& words) {
    const py::array array = py::array::ensure(words);
    const bool integers = array && (array.dtype().kind() == 'i' || array.dtype().kind() == 'u');
    if (!integers || array.ndim() != 1 || array.shape(0) != shogi::kPositionWords) {
        PyErr_Clear();
        std::string got = "something else";
        if (array) {
            got = py::str(array.dtype()).cast<std::string>() + " " +
                  py::str(py::list(array.attr("shape"))).cast<std::string>();
        }
        throw std::invalid_argument("words: expected 17 integers of 32 bits, got " + got);
    }
    uint32_t packed[shogi::kPositionWords];
    const auto values = py::array_t<int64_t, py::array::forcecast>(array);
    for (int i = 0; i < shogi::kPositionWords; ++i) {
        const int64_t value = values.at(i);
        if (value < std::numeric_limits<int32_t>::min() ||
            value > std::numeric_limits<uint32_t>::max()) {
            throw std::invalid_argument("words: word " + std::to_string(i) + " is " +
                                        std::to_string(value) + ", expected 32 bits");
        }
        packed[i] = static_cast<uint32_t>(value);
    }
    const shogi::Position position = shogi::position_of_words([&](int w) { return packed[w]; });
    // A position that its own SFEN gives back bit by bit is a valid one, packed as it must be.
    shogi::Position again;
    try {
        again = notation::parse_sfen(notation::to_sfen(position, 1), nullptr, true);
    } catch (const std::invalid_argument& error) {
        throw std::invalid_argument(std::string("words: no valid position: ") + error.what());
    }
    again = shogi::with_occurrence(again, position.occurrence());
    if (!(again == position)) {
        throw std::invalid_argument("words: not a packed position, bits are set that have no use");
    }
    return position;
}

template <std::size_t kBytes>
py::bytes as_bytes(const std::array<uint8_t, kBytes>& data) {
    return {reinterpret_cast<const char*>(data.data()), kBytes};
}

// Any object that gives its bytes: bytes, bytearray, an array of uint8, a record of an array.
std::string bytes_of(const py::object& data) {
    if (py::isinstance<py::str>(data)) throw py::type_error("data: expected bytes, got text");
    const auto bytes = py::reinterpret_steal<py::bytes>(PyObject_Bytes(data.ptr()));
    if (!bytes) throw py::error_already_set();
    return bytes;
}
std::span<const uint8_t> span_of(const std::string& data) {
    return {reinterpret_cast<const uint8_t*>(data.data()), data.size()};
}

py::bytes to_psv(const Game& game, const std::optional<std::string>& move, int score, int result) {
    notation::PsvFacts facts;
    facts.score = score;
    facts.move_number = game.ply();
    facts.result = result;
    if (move) facts.label = notation::parse_usi_move(game.position(), *move);
    return as_bytes(notation::to_psv(game.position(), facts));
}

py::tuple from_psv(const py::object& data) {
    const std::string bytes = bytes_of(data);
    notation::PsvFacts facts;
    const shogi::Position position = notation::parse_psv(span_of(bytes), facts);
    std::optional<std::string> move;
    if (facts.label) move = notation::to_usi(position, *facts.label);
    return py::make_tuple(Game(position, facts.move_number), move, facts.score, facts.result);
}

void bind_packed(py::class_<Game>& position) {
    position
        .def_static(
            "from_hcp",
            [](const py::object& data, int ply) {
                if (ply < 1 || ply > notation::kMaxMoveNumber) {
                    throw std::invalid_argument("ply: expected 1 to " +
                                                std::to_string(notation::kMaxMoveNumber) +
                                                ", got " + std::to_string(ply));
                }
                const std::string bytes = bytes_of(data);
                return Game(notation::parse_hcp(span_of(bytes)), ply);
            },
            py::arg("data"), py::arg("ply") = 1,
            "The position of 32 bytes in Apery's form (HuffmanCodedPos), which has no move number. "
            "Raises ValueError for anything else.")
        .def(
            "to_hcp", [](const Game& game) { return as_bytes(notation::to_hcp(game.position())); },
            "The position as Apery's HuffmanCodedPos, 32 bytes, which cshogi and dlshogi read. "
            "Raises ValueError unless all 40 pieces are there.")
        .def_static("from_psv", &from_psv, py::arg("data"),
                    "What 40 bytes of YaneuraOu's PackedSfenValue say: position, move in USI (None "
                    "if there is none), score in centipawns and result (1, 0, -1), both for the "
                    "side to move. Raises ValueError for anything else.")
        .def("to_psv", &to_psv, py::arg("move") = py::none(), py::arg("score") = 0,
             py::arg("result") = 0,
             "The position as YaneuraOu's PackedSfenValue, 40 bytes, with a legal move in USI, a "
             "score in centipawns and the result (1, 0, -1), both for the side to move. Raises "
             "ValueError unless all fit and all 40 pieces are there.");
}

void bind_outcome(py::module_& module) {
    py::class_<Outcome> outcome(module, "Outcome", py::is_final(), "How a game ended.");
    outcome.attr("__module__") = "keisei";
    outcome
        .def_property_readonly(
            "ending", [](const Outcome& o) { return ending_name(o.ending); },
            "'no_legal_move', 'declaration', 'repetition', 'perpetual_check' or 'move_limit'.")
        .def_property_readonly("winner", &winner_of, "0 for black, 1 for white, None for nobody.")
        .def(
            "__eq__",
            [](const Outcome& a, const Outcome& b) {
                return a.ending == b.ending && a.winner == b.winner;
            },
            py::is_operator())
        .def("__hash__",
             [](const Outcome& o) { return static_cast<int>(o.ending) * 4 + o.winner + 1; })
        .def("__repr__", &describe);
}

void bind_position(py::module_& module) {
    py::class_<Game> position(
        module, "Position", py::is_final(),
        "One position of shogi with the game that led to it.\n\n"
        "Moves are USI text (`7g7f`, `8h2b+`, `P*5e`). Bad text or an illegal move is a ValueError "
        "and changes nothing. Two are equal, and hash alike, if board, hands and side to move are "
        "the same, so the hash changes with `push` and `pop`.");
    position.attr("__module__") = "keisei";
    position.def(py::init<>(), "The start position of the even game.")
        .def_static(
            "from_sfen", [](std::string_view sfen, bool tsume) { return Game(sfen, tsume); },
            py::arg("sfen"), py::arg("tsume") = false,
            "Reads a canonical SFEN, all four fields of it. `tsume` admits a mate problem in which "
            "the side to move has no king. Raises ValueError that says what is wrong and where.")
        .def_static(
            "from_words", [](const py::object& words) { return Game(position_of_words(words), 1); },
            py::arg("words"),
            "The position that 17 packed words hold (int32 or uint32, as from `words()` or one row "
            "of a batch), as the start of a game at move 1. It keeps the occurrence in the words; "
            "`outcome` counts repetition anew. Raises ValueError for anything else.")
        .def(
            "sfen", [](const Game& game) { return notation::to_sfen(game.position(), game.ply()); },
            "The canonical SFEN.")
        .def(
            "words",
            [](const Game& game) {
                uint32_t words[shogi::kPositionWords];
                shogi::put_words(game.position(), [&](int w, uint32_t value) { words[w] = value; });
                return as_int32(words, shogi::kPositionWords);
            },
            "The packed position, int32 [17], as batches hold it.")
        .def(
            "copy", [](const Game& game) { return Game(game); },
            "A copy with its own history; `pop` works on it.")
        .def("__copy__", [](const Game& game) { return Game(game); })
        .def(
            "__deepcopy__", [](const Game& game, const py::dict&) { return Game(game); },
            py::arg("memo"))

        .def("legal_moves", &legal_moves, "All legal moves in USI, in the order of their labels.")
        .def(
            "legal_labels",
            [](const Game& game) { return notation::legal_labels(game.position()); },
            "The labels of all legal moves, ascending.")
        .def("legal_mask", &legal_mask,
             "The packed legal mask, int32 [81]: bit b of word w is label 27 * w + b.")
        .def(
            "is_legal",
            [](const Game& game, std::string_view usi) {
                return notation::find_usi_move(game.position(), usi).has_value();
            },
            py::arg("usi"), "Whether the move is legal. Raises ValueError if it is no USI move.")
        .def(
            "label",
            [](const Game& game, std::string_view usi) {
                return notation::parse_usi_move(game.position(), usi);
            },
            py::arg("usi"),
            "The action label, 0 to 2186, of a legal move. Raises ValueError otherwise.")
        .def(
            "move",
            [](const Game& game, long long label) {
                return notation::to_usi(game.position(), checked_label(game, label));
            },
            py::arg("label"),
            "The move, in USI, that a legal label names here. Raises ValueError otherwise.")
        .def(
            "push",
            [](Game& game, std::string_view usi) {
                game.push(notation::parse_usi_move(game.position(), usi));
            },
            py::arg("usi"),
            "Makes a legal move. Raises ValueError otherwise, and changes nothing then.")
        .def(
            "push_label",
            [](Game& game, long long label) { game.push(checked_label(game, label)); },
            py::arg("label"),
            "Makes the move of a legal label. Raises ValueError otherwise, and changes nothing "
            "then.")
        .def(
            "pop",
            [](Game& game) {
                const std::optional<std::string> usi = last_move(game);
                game.pop();
                return *usi;
            },
            "Takes the last move back and returns it. Raises IndexError at the game's start.")
        .def_property_readonly("moves", &moves_played, "The moves since the game's start, in USI.")
        .def_property_readonly("last_move", &last_move,
                               "The last move in USI, None at the game's start.")

        .def_property_readonly(
            "turn", [](const Game& game) { return game.position().white_to_move() ? 1 : 0; },
            "0 if black is to move, 1 if white.")
        .def_property_readonly("ply", &Game::ply, "The SFEN move number.")
        .def_property_readonly("plies_played", &Game::plies_played,
                               "Moves since the game's start, which `max_plies` limits.")
        .def_property_readonly(
            "key", [](const Game& game) { return game.history().back().key; },
            "64-bit hash of board, hands and side to move.")
        .def_property_readonly(
            "occurrence", [](const Game& game) { return game.position().occurrence(); },
            "How often the position occurred before in its game, at most 3.")
        .def_property_readonly(
            "in_check", [](const Game& game) { return shogi::in_check(game.position()); },
            "Whether the side to move is in check.")
        .def_property_readonly(
            "can_declare", [](const Game& game) { return shogi::can_declare(game.position()); },
            "Whether the side to move may declare and win (27-point rule).")
        .def(
            "outcome", &outcome_of, py::arg("max_plies") = py::none(), py::arg("declares") = true,
            "How the game has ended, or None. A position from which declaration is possible counts "
            "as declared, unless `declares` is False: then the game goes on until its player says "
            "so. Moves stay legal after an end, so analysis can go on. `max_plies`, if given, is "
            "at "
            "least 1 and counts from the game's start.")
        .def(
            "perft",
            [](const Game& game, int depth) {
                const shogi::Position start = game.position();
                const py::gil_scoped_release release;
                return keisei::game::perft(start, depth);
            },
            py::arg("depth"), "The number of legal move sequences of `depth` moves.")
        .def("planes", &planes, py::arg("opponent") = false,
             "The network's input for the side to move, float32 [121, 9, 9]: plane, file - 1, "
             "rank - 1, the board turned by 180 degrees for white. `opponent` gives the planes of "
             "the other side, as if it were to move.")

        .def(
            "__eq__",
            [](const Game& a, const Game& b) {
                return shogi::with_occurrence(a.position(), 0) ==
                       shogi::with_occurrence(b.position(), 0);
            },
            py::is_operator())
        .def("__hash__",
             [](const Game& game) { return std::bit_cast<int64_t>(game.history().back().key); })
        .def("__str__",
             [](const Game& game) { return notation::to_diagram(game.position(), game.ply()); })
        .def("__repr__",
             [](const Game& game) {
                 return "keisei.Position.from_sfen('" +
                        notation::to_sfen(game.position(), game.ply()) + "')";
             })
        .def(
            "_repr_svg_",
            [](const py::object& self) {
                return py::module_::import("keisei.board_svg").attr("board_svg")(self);
            },
            "The board as an SVG picture, for notebooks.");
    bind_packed(position);
}

}  // namespace

PYBIND11_MODULE(_core, module) {
    module.doc() = "Positions of shogi; use them as keisei.Position.";
    bind_outcome(module);
    bind_position(module);
}
