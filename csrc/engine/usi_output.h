// Lines to the GUI: whole, flushed one by one, printable ASCII only.
#pragma once

#include <fstream>
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

    // From now on writes both directions to a file as well, each line with the time of day and `<`
    // (to the GUI) or `>` (from it) in front; an empty path ends that. Appends. Returns whether the
    // file could be opened; nothing changes if not.
    bool log_to(const std::string& path);
    // A line from the GUI, for the log.
    void log_input(std::string_view text);

 private:
    void log(char direction, std::string_view text);

    std::mutex mutex_;
    std::ostream& stream_;
    std::string log_path_;
    std::ofstream log_;
};

}  // namespace keisei::engine
