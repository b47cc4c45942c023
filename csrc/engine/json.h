// A reader for JSON, as much as a model's manifest needs, without a dependency.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace keisei::engine {

struct Json {
    using Object = std::map<std::string, Json, std::less<>>;
    std::variant<std::nullptr_t, bool, double, std::string, std::vector<Json>, Object> value;

    // The member of an object; null if this is no object or has no such member.
    const Json* find(std::string_view name) const;
    // null if this is not a number, or not a text.
    const double* number() const { return std::get_if<double>(&value); }
    const std::string* text() const { return std::get_if<std::string>(&value); }
};

// Throws std::invalid_argument that says what is wrong at which byte.
Json parse_json(std::string_view text);

}  // namespace keisei::engine
