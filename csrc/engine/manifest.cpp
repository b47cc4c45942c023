#include "engine/manifest.h"

#include <charconv>
#include <stdexcept>
#include <string>

#include "engine/json.h"

namespace keisei::engine {
namespace {

constexpr char kFormat[] = "keisei-policy";
constexpr int kFormatVersion = 1;

struct NamedSet {
    const char* field;
    const char* name;
    int version;
};
constexpr NamedSet kSets[] = {{"plane_set", "keisei-121", 1}, {"label_set", "dlshogi-2187", 1}};

std::string shown(const Json* value) {
    if (value == nullptr) return "nothing";
    if (const auto* text = value->text()) return "'" + *text + "'";
    if (const auto* number = value->number()) {
        char buffer[32];
        const auto end = std::to_chars(buffer, buffer + sizeof(buffer), *number);
        return {buffer, end.ptr};
    }
    return "something else";
}

[[noreturn]] void refuse(const std::string& field, const std::string& expected, const Json* got) {
    throw std::invalid_argument("manifest " + field + ": expected " + expected + ", got " +
                                shown(got));
}

void require_text(const Json* value, const std::string& field, const std::string& expected) {
    if (value == nullptr || value->text() == nullptr || *value->text() != expected) {
        refuse(field, "'" + expected + "'", value);
    }
}

void require_number(const Json* value, const std::string& field, int expected) {
    if (value == nullptr || value->number() == nullptr || *value->number() != expected) {
        refuse(field, std::to_string(expected), value);
    }
}

}  // namespace

void check_manifest(std::string_view json) {
    const Json manifest = parse_json(json);
    require_text(manifest.find("format"), "format", kFormat);
    require_number(manifest.find("format_version"), "format_version", kFormatVersion);
    for (const auto& set : kSets) {
        const std::string field = set.field;
        const Json* found = manifest.find(field);
        const auto member = [&](const char* name) {
            return found == nullptr ? nullptr : found->find(name);
        };
        require_text(member("name"), field + ".name", set.name);
        require_number(member("version"), field + ".version", set.version);
    }
}

}  // namespace keisei::engine
