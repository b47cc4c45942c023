#include "engine/json.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <stdexcept>

namespace keisei::engine {
namespace {

constexpr int kDeepest = 64;

class Reader {
 public:
    explicit Reader(std::string_view text) : text_(text) {}

    Json document() {
        Json out = value(0);
        skip_blanks();
        if (at_ != text_.size()) fail("nothing more");
        return out;
    }

 private:
    [[noreturn]] void fail(std::string_view expected) const {
        throw std::invalid_argument("JSON: expected " + std::string(expected) + " at byte " +
                                    std::to_string(at_));
    }

    void skip_blanks() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

    bool take(std::string_view word) {
        if (!text_.substr(at_).starts_with(word)) return false;
        at_ += word.size();
        return true;
    }

    void require(std::string_view word) {
        skip_blanks();
        if (!take(word)) fail("'" + std::string(word) + "'");
    }

    Json value(int depth) {
        if (depth > kDeepest) fail("less nesting");
        skip_blanks();
        if (take("null")) return {nullptr};
        if (take("true")) return {true};
        if (take("false")) return {false};
        if (take("{")) return {object(depth)};
        if (take("[")) return {array(depth)};
        if (take("\"")) return {string()};
        return {number()};
    }

    Json::Object object(int depth) {
        Json::Object out;
        skip_blanks();
        if (take("}")) return out;
        do {
            require("\"");
            std::string name = string();
            require(":");
            out.insert_or_assign(std::move(name), value(depth + 1));
            skip_blanks();
        } while (take(","));
        require("}");
        return out;
    }

    std::vector<Json> array(int depth) {
        std::vector<Json> out;
        skip_blanks();
        if (take("]")) return out;
        do {
            out.push_back(value(depth + 1));
            skip_blanks();
        } while (take(","));
        require("]");
        return out;
    }

    // The rest of a string after its opening quote.
    std::string string() {
        std::string out;
        for (;;) {
            if (at_ >= text_.size()) fail("'\"'");
            const char c = text_[at_++];
            if (c == '"') return out;
            if (c != '\\') {
                out += c;
            } else if (take("u")) {
                append_utf8(out, code_point());
            } else {
                constexpr std::string_view kNames = "\"\\/bfnrt";
                constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
                const auto which = at_ < text_.size() ? kNames.find(text_[at_]) : kNames.npos;
                if (which == kNames.npos) fail("an escape");
                out += kMeant[which];
                ++at_;
            }
        }
    }

    uint32_t four_hex_digits() {
        uint32_t code = 0;
        const std::string_view digits = text_.substr(at_, 4);
        const char* end = digits.data() + digits.size();
        const auto [stop, error] = std::from_chars(digits.data(), end, code, 16);
        if (digits.size() != 4 || stop != end || error != std::errc()) fail("four hex digits");
        at_ += 4;
        return code;
    }

    uint32_t code_point() {
        const uint32_t high = four_hex_digits();
        if (high < 0xd800 || high >= 0xdc00 || !take("\\u")) return high;
        const uint32_t low = four_hex_digits();
        if (low < 0xdc00 || low >= 0xe000) fail("a low surrogate");
        return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }

    static void append_utf8(std::string& out, uint32_t code) {
        const auto tail = [&](int shift) {
            out += static_cast<char>(0x80 | ((code >> shift) & 0x3f));
        };
        if (code < 0x80) {
            out += static_cast<char>(code);
        } else if (code < 0x800) {
            out += static_cast<char>(0xc0 | (code >> 6));
            tail(0);
        } else if (code < 0x10000) {
            out += static_cast<char>(0xe0 | (code >> 12));
            tail(6);
            tail(0);
        } else {
            out += static_cast<char>(0xf0 | (code >> 18));
            tail(12);
            tail(6);
            tail(0);
        }
    }

    double number() {
        double out = 0;
        const char* begin = text_.data() + at_;
        const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), out);
        // from_chars also knows words such as inf.
        if (error != std::errc() ||
            std::string_view("-0123456789").find(*begin) == std::string_view::npos) {
            fail("a value");
        }
        at_ += static_cast<std::size_t>(end - begin);
        return out;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

const Json* Json::find(std::string_view name) const {
    const auto* object = std::get_if<Object>(&value);
    if (object == nullptr) return nullptr;
    const auto member = object->find(name);
    return member == object->end() ? nullptr : &member->second;
}

Json parse_json(std::string_view text) {
    return Reader(text).document();
}

}  // namespace keisei::engine
