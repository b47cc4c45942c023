// The lines of a pipe, read by a thread of its own: what the engine is busy with never makes its
// client wait.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>

namespace keisei::engine {

// Longer lines are none of USI's: what goes past this is thrown away, and the line is marked.
constexpr std::size_t kLongestLine = std::size_t{1} << 23;

struct InputLine {
    std::string text;  // without its newline
    bool cut = false;  // longer than kLongestLine, and cut there
    std::chrono::steady_clock::time_point read;
};

class LineReader {
 public:
    // Called on the reader's thread with each line; with nothing at the end of input, once.
    using Sink = std::function<void(std::optional<InputLine>)>;

    // Reads the file descriptor `fd`, which stays the caller's. Throws std::system_error.
    LineReader(int fd, Sink sink);
    // Leaves unread what no line has been made of; does not wait for input.
    ~LineReader();
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;

 private:
    void run();
    // Gives the sink all whole lines of `bytes`, and keeps the rest.
    void take(const char* bytes, std::size_t count);
    void give();

    int fd_;
    Sink sink_;
    int wake_[2];  // a pipe: its end closes when the reader has to stop
    InputLine line_;
    std::thread thread_;  // last: it uses all the others
};

}  // namespace keisei::engine
