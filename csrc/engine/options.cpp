#include "engine/options.h"

#include <algorithm>
#include <vector>

#include "engine/usi_parse.h"

namespace keisei::engine {
namespace {

constexpr std::string_view kEmpty = "<empty>";  // how USI writes an empty text
constexpr std::string_view kRule27 = "CSARule27";
constexpr std::string_view kNoRule = "NoEnteringKing";
constexpr int64_t kMaxSeed = 2147483647;
constexpr int64_t kMaxMoves = 100000;
constexpr int64_t kNeverResign = 99999;

struct OptionSpec {
    std::string_view name;
    std::string_view type;                       // filename, string, combo, spin
    std::vector<std::string_view> choices = {};  // combo
    int64_t min = 0;                             // spin
    int64_t max = 0;                             // spin
    std::string (*show)(const Settings&);        // its default
    void (*store)(Settings&, const Settings& defaults, std::string_view text, int64_t number);
    bool (*accepts)(std::string_view) = nullptr;  // string
    std::string_view expected = {};               // string
};

// The table is the whole truth: what is declared, what is accepted, what it sets.
const std::vector<OptionSpec>& table() {
    static const std::vector<OptionSpec> kTable = {
        // GUIs cut a default at a blank and send it back: the command line's model is <empty>.
        {.name = "DNN_Model",
         .type = "filename",
         .show = [](const Settings&) { return std::string(kEmpty); },
         .store = [](Settings& s, const Settings& defaults, std::string_view text,
                     int64_t) { s.model = text.empty() ? defaults.model : std::string(text); }},
        {.name = "Device",
         .type = "string",
         .show = [](const Settings& s) { return s.device; },
         .store = [](Settings& s, const Settings&, std::string_view text,
                     int64_t) { s.device = text; },
         .accepts = is_device,
         .expected = "auto, cpu, cuda or cuda:N"},
        {.name = "Precision",
         .type = "combo",
         .choices = {"fp32", "bf16", "fp16"},
         .show = [](const Settings& s) { return s.precision; },
         .store = [](Settings& s, const Settings&, std::string_view text,
                     int64_t) { s.precision = text; }},
        {.name = "EnteringKingRule",
         .type = "combo",
         .choices = {kRule27, kNoRule},
         .show = [](const Settings& s) { return std::string(s.declare ? kRule27 : kNoRule); },
         .store = [](Settings& s, const Settings&, std::string_view text,
                     int64_t) { s.declare = text == kRule27; }},
        {.name = "ResignValue",
         .type = "spin",
         .min = 1,
         .max = kNeverResign,
         .show = [](const Settings& s) { return std::to_string(s.resign_value); },
         .store = [](Settings& s, const Settings&, std::string_view,
                     int64_t number) { s.resign_value = number; }},
        {.name = "MaxMovesToDraw",
         .type = "spin",
         .min = 0,
         .max = kMaxMoves,
         .show = [](const Settings& s) { return std::to_string(s.max_moves_to_draw); },
         .store = [](Settings& s, const Settings&, std::string_view,
                     int64_t number) { s.max_moves_to_draw = number; }},
        {.name = "Seed",
         .type = "spin",
         .min = 0,
         .max = kMaxSeed,
         .show = [](const Settings& s) { return std::to_string(s.seed); },
         .store = [](Settings& s, const Settings&, std::string_view,
                     int64_t number) { s.seed = number; }},
    };
    return kTable;
}

std::string joined(const std::vector<std::string_view>& words) {
    std::string out;
    for (const auto word : words) {
        if (!out.empty()) out += ", ";
        out += word;
    }
    return out;
}

std::string declaration(const OptionSpec& spec, const Settings& defaults) {
    std::string out = "option name " + std::string(spec.name) + " type " + std::string(spec.type) +
                      " default " + spec.show(defaults);
    if (spec.type == "spin") {
        out += " min " + std::to_string(spec.min) + " max " + std::to_string(spec.max);
    }
    for (const auto choice : spec.choices) out += " var " + std::string(choice);
    return out;
}

}  // namespace

bool is_device(std::string_view text) {
    constexpr std::string_view kIndexed = "cuda:";
    if (text == "auto" || text == "cpu" || text == "cuda") return true;
    if (!text.starts_with(kIndexed)) return false;
    const std::string_view index = text.substr(kIndexed.size());
    return !index.empty() && index.size() <= 3 &&
           std::ranges::all_of(index, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_precision(std::string_view text) {
    return text == "fp32" || text == "bf16" || text == "fp16";
}

void Options::declare(UsiOutput& output) const {
    for (const auto& spec : table()) output.line(declaration(spec, defaults_));
}

std::string Options::set(std::string_view name, std::string_view value) {
    const auto spec = std::ranges::find(table(), name, &OptionSpec::name);
    if (spec == table().end()) {
        return "setoption: no option " + printable(name, 80) + ", ignored";
    }
    if (value == kEmpty) value = {};
    const std::string prefix = "setoption " + std::string(name) + ": expected ";
    const std::string suffix = ", got '" + printable(value, 80) + "', unchanged";
    int64_t number = 0;
    if (spec->type == "spin") {
        const auto parsed = whole_number(value);
        if (!parsed || *parsed < spec->min || *parsed > spec->max) {
            return prefix + "a whole number from " + std::to_string(spec->min) + " to " +
                   std::to_string(spec->max) + suffix;
        }
        number = *parsed;
    } else if (spec->type == "combo" &&
               std::ranges::find(spec->choices, value) == spec->choices.end()) {
        return prefix + "one of " + joined(spec->choices) + suffix;
    } else if (spec->accepts != nullptr && !spec->accepts(value)) {
        return prefix + std::string(spec->expected) + suffix;
    }
    spec->store(settings_, defaults_, value, number);
    return {};
}

}  // namespace keisei::engine
