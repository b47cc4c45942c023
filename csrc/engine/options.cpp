#include "engine/options.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>

#include "engine/score.h"
#include "engine/usi_parse.h"

namespace keisei::engine {
namespace {

constexpr std::string_view kEmpty = "<empty>";  // how USI writes an empty text
constexpr int64_t kMaxSeed = 2147483647;
constexpr int64_t kMaxMoves = 100000;
constexpr int64_t kMaxNodes = 1'000'000'000'000;
constexpr int64_t kMaxDelay = 10'000;
constexpr int64_t kMaxPerCent = 100'000;

enum class Type : uint8_t { filename, text, combo, spin, check };

struct OptionSpec {
    std::string_view name;
    Type type;
    // Of a combo by the place among its choices, of a check as 0 or 1.
    int64_t (*get)(const Settings&) = nullptr;
    void (*set)(Settings&, int64_t) = nullptr;
    int64_t min = 0;
    int64_t max = 0;
    std::vector<std::string_view> choices = {};
    // Of a filename or text.
    std::string Settings::* value = nullptr;
    bool (*accepts)(std::string_view) = nullptr;
    std::string_view expected = {};
};

using Get = int64_t (*)(const Settings&);
using Set = void (*)(Settings&, int64_t);

OptionSpec spin(std::string_view name, int64_t min, int64_t max, Get get, Set set) {
    return {.name = name, .type = Type::spin, .get = get, .set = set, .min = min, .max = max};
}
OptionSpec check(std::string_view name, Get get, Set set) {
    return {.name = name, .type = Type::check, .get = get, .set = set};
}
OptionSpec combo(std::string_view name, std::vector<std::string_view> choices, Get get, Set set) {
    return {
        .name = name, .type = Type::combo, .get = get, .set = set, .choices = std::move(choices)};
}
OptionSpec filename(std::string_view name, std::string Settings::* value) {
    return {.name = name, .type = Type::filename, .value = value};
}

int64_t per_cent(double share) {
    return std::lround(share * 100);
}
double share(int64_t number) {
    return static_cast<double>(number) / 100;
}

// The table is the whole truth: what is declared, what is accepted, what it sets.
const std::vector<OptionSpec>& table() {
    using S = Settings;
    using shogi::DeclarationRule;
    static const std::vector<OptionSpec> kTable = {
        // The engine and its network.
        filename("DNN_Model", &S::model),
        {.name = "Device",
         .type = Type::text,
         .value = &S::device,
         .accepts = is_device,
         .expected =
             "auto, cpu, cuda or cuda:N, or several different ones with commas between them"},
        combo(
            "Precision", {"fp32", "bf16", "fp16"},
            [](const S& s) -> int64_t {
                return s.precision == "fp32" ? 0 : s.precision == "bf16" ? 1 : 2;
            },
            [](S& s, int64_t n) { s.precision = n == 0   ? "fp32"
                                                : n == 1 ? "bf16"
                                                         : "fp16"; }),
        spin(
            "BatchSize", 0, 4096, [](const S& s) -> int64_t { return s.search.batch_size; },
            [](S& s, int64_t n) { s.search.batch_size = static_cast<int>(n); }),
        spin(
            "Threads", 0, 256, [](const S& s) -> int64_t { return s.search.threads; },
            [](S& s, int64_t n) { s.search.threads = static_cast<int>(n); }),
        spin(
            "USI_Hash", 1, 1 << 20, [](const S& s) { return s.search.hash_mib; },
            [](S& s, int64_t n) { s.search.hash_mib = n; }),
        // How long it thinks.
        check(
            "USI_Ponder", [](const S& s) -> int64_t { return s.ponder; },
            [](S& s, int64_t n) { s.ponder = n != 0; }),
        check(
            "Stochastic_Ponder", [](const S& s) -> int64_t { return s.stochastic_ponder; },
            [](S& s, int64_t n) { s.stochastic_ponder = n != 0; }),
        spin(
            "NodesLimit", 0, kMaxNodes, [](const S& s) { return s.nodes_limit; },
            [](S& s, int64_t n) { s.nodes_limit = n; }),
        spin(
            "DepthLimit", 0, 1000, [](const S& s) { return s.depth_limit; },
            [](S& s, int64_t n) { s.depth_limit = n; }),
        spin(
            "MinimumThinkingTime", 0, 100'000,
            [](const S& s) { return s.time.minimum_thinking_time; },
            [](S& s, int64_t n) { s.time.minimum_thinking_time = n; }),
        spin(
            "NetworkDelay", 0, kMaxDelay, [](const S& s) { return s.time.network_delay; },
            [](S& s, int64_t n) { s.time.network_delay = n; }),
        spin(
            "NetworkDelay2", 0, kMaxDelay, [](const S& s) { return s.time.network_delay2; },
            [](S& s, int64_t n) { s.time.network_delay2 = n; }),
        check(
            "RoundUpToFullSecond",
            [](const S& s) -> int64_t { return s.time.round_up_to_full_second; },
            [](S& s, int64_t n) { s.time.round_up_to_full_second = n != 0; }),
        spin(
            "SlowMover", 1, 1000, [](const S& s) { return s.time.slow_mover; },
            [](S& s, int64_t n) { s.time.slow_mover = n; }),
        // The rules it plays by.
        spin(
            "MaxMovesToDraw", 0, kMaxMoves,
            [](const S& s) -> int64_t { return s.search.max_moves_to_draw; },
            [](S& s, int64_t n) { s.search.max_moves_to_draw = static_cast<int>(n); }),
        combo(
            "EnteringKingRule", {"NoEnteringKing", "CSARule24", "CSARule27"},
            [](const S& s) -> int64_t { return static_cast<int64_t>(s.search.declaration); },
            [](S& s, int64_t n) { s.search.declaration = static_cast<DeclarationRule>(n); }),
        spin(
            "ResignValue", 1, kNeverResign, [](const S& s) { return s.resign_value; },
            [](S& s, int64_t n) { s.resign_value = n; }),
        spin(
            "DrawValueBlack", -kCentipawnLimit, kCentipawnLimit,
            [](const S& s) -> int64_t {
                return centipawns(static_cast<float>(s.search.draw_value_black));
            },
            [](S& s, int64_t n) { s.search.draw_value_black = value_of_centipawns(n); }),
        spin(
            "DrawValueWhite", -kCentipawnLimit, kCentipawnLimit,
            [](const S& s) -> int64_t {
                return centipawns(static_cast<float>(s.search.draw_value_white));
            },
            [](S& s, int64_t n) { s.search.draw_value_white = value_of_centipawns(n); }),
        check(
            "GenerateAllLegalMoves", [](const S& s) -> int64_t { return s.search.generate_all; },
            [](S& s, int64_t n) { s.search.generate_all = n != 0; }),
        // The search.
        combo(
            "RootChoice", {"automatic", "puct", "gumbel"},
            [](const S& s) -> int64_t { return static_cast<int64_t>(s.search.root); },
            [](S& s, int64_t n) { s.search.root = static_cast<RootChoice>(n); }),
        spin(
            "GumbelLimit", 0, 1'000'000,
            [](const S& s) -> int64_t { return s.search.gumbel_limit; },
            [](S& s, int64_t n) { s.search.gumbel_limit = static_cast<int>(n); }),
        spin(
            "GumbelScale", 0, 1000, [](const S& s) { return per_cent(s.search.gumbel_scale); },
            [](S& s, int64_t n) { s.search.gumbel_scale = share(n); }),
        spin(
            "C_init", 0, kMaxPerCent, [](const S& s) { return per_cent(s.search.puct_init); },
            [](S& s, int64_t n) { s.search.puct_init = share(n); }),
        spin(
            "C_base", 1, 10'000'000, [](const S& s) { return std::lround(s.search.puct_base); },
            [](S& s, int64_t n) { s.search.puct_base = static_cast<double>(n); }),
        spin(
            "C_init_root", 0, kMaxPerCent,
            [](const S& s) { return per_cent(s.search.root_puct_init); },
            [](S& s, int64_t n) { s.search.root_puct_init = share(n); }),
        spin(
            "C_fpu_reduction", 0, 200, [](const S& s) { return per_cent(s.search.fpu_reduction); },
            [](S& s, int64_t n) { s.search.fpu_reduction = share(n); }),
        spin(
            "C_fpu_reduction_root", 0, 200,
            [](const S& s) { return per_cent(s.search.root_fpu_reduction); },
            [](S& s, int64_t n) { s.search.root_fpu_reduction = share(n); }),
        spin(
            "PolicyTemperature", 1, kMaxPerCent,
            [](const S& s) { return per_cent(s.search.policy_temperature); },
            [](S& s, int64_t n) { s.search.policy_temperature = share(n); }),
        spin(
            "MateHash", 0, 1 << 16, [](const S& s) { return s.search.mate_mib; },
            [](S& s, int64_t n) { s.search.mate_mib = n; }),
        spin(
            "LeafDfpnNodesLimit", 0, 10'000,
            [](const S& s) { return static_cast<int64_t>(s.search.leaf_mate_nodes); },
            [](S& s, int64_t n) { s.search.leaf_mate_nodes = static_cast<int>(n); }),
        spin(
            "Seed", 0, kMaxSeed, [](const S& s) { return static_cast<int64_t>(s.search.seed); },
            [](S& s, int64_t n) { s.search.seed = static_cast<uint64_t>(n); }),
        // What it says.
        spin(
            "MultiPV", 1, 600, [](const S& s) { return s.multipv; },
            [](S& s, int64_t n) { s.multipv = n; }),
        spin(
            "PvInterval", 0, 100'000, [](const S& s) { return s.pv_interval; },
            [](S& s, int64_t n) { s.pv_interval = n; }),
        // Its files.
        check(
            "USI_OwnBook", [](const S& s) -> int64_t { return s.own_book; },
            [](S& s, int64_t n) { s.own_book = n != 0; }),
        filename("BookFile", &S::book_file),
        spin(
            "BookMoves", 0, kMaxMoves, [](const S& s) { return s.book_moves; },
            [](S& s, int64_t n) { s.book_moves = n; }),
        spin(
            "BookEvalDiff", 0, 99999, [](const S& s) { return s.book_eval_diff; },
            [](S& s, int64_t n) { s.book_eval_diff = n; }),
        filename("DebugLogFile", &S::debug_log_file),
    };
    return kTable;
}

// Other engines' names for the same thing in the same unit, not declared.
struct Alias {
    std::string_view name;
    std::string_view means;
};
constexpr Alias kAliases[] = {
    {"UCT_Threads", "Threads"}, {"DNN_Batch_Size", "BatchSize"}, {"Draw_Ply", "MaxMovesToDraw"},
    {"OwnBook", "USI_OwnBook"}, {"PV_Interval", "PvInterval"},
};

std::string_view type_name(Type type) {
    constexpr std::string_view kNames[] = {"filename", "string", "combo", "spin", "check"};
    return kNames[static_cast<int>(type)];
}

std::string joined(const std::vector<std::string_view>& words) {
    std::string out;
    for (const auto word : words) {
        if (!out.empty()) out += ", ";
        out += word;
    }
    return out;
}

std::string default_of(const OptionSpec& spec, const Settings& defaults) {
    switch (spec.type) {
        case Type::filename:
            // GUIs cut a default at a blank and send it back: a name from the command line is
            // <empty>.
            return std::string(kEmpty);
        case Type::text:
            return defaults.*spec.value;
        case Type::combo:
            return std::string(spec.choices[static_cast<std::size_t>(spec.get(defaults))]);
        case Type::check:
            return spec.get(defaults) != 0 ? "true" : "false";
        case Type::spin:
            break;
    }
    return std::to_string(spec.get(defaults));
}

std::string declaration(const OptionSpec& spec, const Settings& defaults) {
    std::string out = "option name " + std::string(spec.name) + " type " +
                      std::string(type_name(spec.type)) + " default " + default_of(spec, defaults);
    if (spec.type == Type::spin) {
        out += " min " + std::to_string(spec.min) + " max " + std::to_string(spec.max);
    }
    for (const auto choice : spec.choices) out += " var " + std::string(choice);
    return out;
}

// The number that a text stands for, if it is one of the option's.
std::optional<int64_t> number_of(const OptionSpec& spec, std::string_view text) {
    if (spec.type == Type::spin) {
        const auto number = whole_number(text);
        return number && *number >= spec.min && *number <= spec.max ? number : std::nullopt;
    }
    if (spec.type == Type::check) {
        if (text == "true") return 1;
        if (text == "false") return 0;
        return std::nullopt;
    }
    const auto choice = std::ranges::find(spec.choices, text);
    if (choice == spec.choices.end()) return std::nullopt;
    return choice - spec.choices.begin();
}

// As the protocol has it, upper and lower case are the same in names.
bool same_name(std::string_view one, std::string_view other) {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    return std::ranges::equal(one, other, {}, lower, lower);
}

std::string expected(const OptionSpec& spec) {
    if (spec.type == Type::spin) {
        return "a whole number from " + std::to_string(spec.min) + " to " +
               std::to_string(spec.max);
    }
    if (spec.type == Type::check) return "true or false";
    if (spec.type == Type::combo) return "one of " + joined(spec.choices);
    return std::string(spec.expected);
}

}  // namespace

std::vector<std::string> split_devices(std::string_view text) {
    std::vector<std::string> out;
    for (;;) {
        const std::size_t comma = text.find(',');
        out.emplace_back(text.substr(0, comma));
        if (comma == std::string_view::npos) return out;
        text.remove_prefix(comma + 1);
    }
}

bool is_device(std::string_view text) {
    constexpr std::string_view kIndexed = "cuda:";
    constexpr std::size_t kMost = 64;
    const auto devices = split_devices(text);
    // Several evaluators on one device would share its streams and memory, and gain nothing.
    std::set<std::string, std::less<>> different;
    for (const auto& device : devices) different.insert(device == "cuda" ? "cuda:0" : device);
    if (different.size() < devices.size() || (devices.size() > 1 && different.contains("auto"))) {
        return false;
    }
    return devices.size() <= kMost && std::ranges::all_of(devices, [&](std::string_view device) {
               if (device == "auto" || device == "cpu" || device == "cuda") return true;
               if (!device.starts_with(kIndexed)) return false;
               const std::string_view index = device.substr(kIndexed.size());
               return !index.empty() && index.size() <= 3 &&
                      std::ranges::all_of(index, [](char c) { return c >= '0' && c <= '9'; });
           });
}

bool is_precision(std::string_view text) {
    return text == "fp32" || text == "bf16" || text == "fp16";
}

void Options::declare(UsiOutput& output) const {
    for (const auto& spec : table()) output.line(declaration(spec, defaults_));
}

std::string Options::set(std::string_view name, std::string_view value) {
    const auto is = [](std::string_view one) {
        return [one](std::string_view other) { return same_name(one, other); };
    };
    const auto* const alias = std::ranges::find_if(kAliases, is(name), &Alias::name);
    const std::string_view means = alias == std::end(kAliases) ? name : alias->means;
    const auto spec = std::ranges::find_if(table(), is(means), &OptionSpec::name);
    if (spec == table().end()) {
        return "setoption: no option " + printable(name, 80) + ", ignored";
    }
    if (value == kEmpty) value = {};
    const auto refused = [&] {
        return "setoption " + std::string(name) + ": expected " + expected(*spec) + ", got '" +
               printable(value, 80) + "', unchanged";
    };
    if (spec->value != nullptr) {
        if (spec->accepts != nullptr && !spec->accepts(value)) return refused();
        const bool to_default = spec->type == Type::filename && value.empty();
        settings_.*spec->value = to_default ? defaults_.*spec->value : std::string(value);
        return {};
    }
    const auto number = number_of(*spec, value);
    if (!number) return refused();
    spec->set(settings_, *number);
    return {};
}

}  // namespace keisei::engine
