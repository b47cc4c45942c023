#include "engine/usi_output.h"

namespace keisei::engine {

std::string printable(std::string_view text, std::size_t limit) {
    std::string out(text.substr(0, limit));
    for (char& c : out) {
        if (c < ' ' || c > '~') c = '?';
    }
    if (text.size() > limit) out += "...";
    return out;
}

void UsiOutput::line(std::string_view text) {
    const std::string safe = printable(text, text.size());
    const std::lock_guard lock(mutex_);
    stream_ << safe << '\n' << std::flush;
}

void UsiOutput::info_string(std::string_view text) {
    line("info string " + printable(text));
}

void UsiOutput::keep_alive() {
    const std::lock_guard lock(mutex_);
    stream_ << '\n' << std::flush;
}

}  // namespace keisei::engine
