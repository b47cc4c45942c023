#include "engine/manifest.h"

#include <stdexcept>
#include <string>

#include "engine/json.h"

namespace keisei::engine {
namespace {

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
        const auto whole = static_cast<long long>(*number);
        return static_cast<double>(whole) == *number ? std::to_string(whole)
                                                     : std::to_string(*number);
    }
    return "something else";
}

[[noreturn]] void refuse(const std::string& field, const std::string& expected, const Json* got) {
    throw std::invalid_argument("manifest " + field + ": expected " + expected + ", got " +
                                shown(got));
}

void require_number(const Json* value, const std::string& field, int expected) {
    if (value == nullptr || value->number() == nullptr || *value->number() != expected) {
        refuse(field, std::to_string(expected), value);
    }
}

}  // namespace

void check_manifest(std::string_view json) {
    const Json manifest = parse_json(json);
    require_number(manifest.find("format_version"), "format_version", kFormatVersion);
    for (const auto& set : kSets) {
        const std::string field = set.field;
        const Json* found = manifest.find(field);
        const Json* name = found == nullptr ? nullptr : found->find("name");
        if (name == nullptr || name->text() == nullptr || *name->text() != set.name) {
            refuse(field + ".name", std::string("'") + set.name + "'", name);
        }
        require_number(found->find("version"), field + ".version", set.version);
    }
}

}  // namespace keisei::engine
