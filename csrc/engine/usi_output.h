// Lines to the GUI: whole, flushed one by one, printable ASCII only.
#pragma once

#include <mutex>
#include <ostream>
#include <string>
#include <string_view>

namespace keisei::engine {

// Text from outside (paths, bad input) made safe to echo: everything but printable ASCII becomes
// '?', and what goes past `limit` characters is cut.
std::string printable(std::string_view text, std::size_t limit = 400);

// Safe to call from several threads: lines never mix.
class UsiOutput {
 public:
    explicit UsiOutput(std::ostream& stream) : stream_(stream) {}

    void line(std::string_view text);
    void info_string(std::string_view text);
    // The bare newline that tells a waiting GUI that the engine is alive.
    void keep_alive();

 private:
    std::mutex mutex_;
    std::ostream& stream_;
};

}  // namespace keisei::engine
