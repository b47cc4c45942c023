// Foreign text inside an error message: quoted, printable ASCII on one line, and not too long.
#pragma once

#include <string>
#include <string_view>

namespace keisei::notation {

inline std::string quote(std::string_view text) {
    constexpr std::size_t kLongest = 100;
    constexpr char kHex[] = "0123456789abcdef";
    std::string out = "'";
    for (const char c : text.substr(0, kLongest)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            out += c;
        } else {
            out += "\\x";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        }
    }
    out += text.size() > kLongest ? "...'" : "'";
    return out;
}

}  // namespace keisei::notation
