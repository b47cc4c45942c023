#include "engine/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace keisei::engine {
namespace {

int make_pipe(int (&ends)[2]) {
    if (pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    return 0;
}

}  // namespace

LineReader::LineReader(int fd, Sink sink) : fd_(fd), sink_(std::move(sink)) {
    make_pipe(wake_);
    thread_ = std::thread([this] { run(); });
}

LineReader::~LineReader() {
    close(wake_[1]);
    thread_.join();
    close(wake_[0]);
}

void LineReader::run() {
    char buffer[1 << 16];
    for (;;) {
        pollfd ready[] = {{fd_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
        if (poll(ready, 2, -1) < 0) {
            if (errno == EINTR) continue;
            break;
        }
        if (ready[1].revents != 0) return;
        const ssize_t count = read(fd_, buffer, sizeof(buffer));
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (count <= 0) break;
        take(buffer, static_cast<std::size_t>(count));
    }
    if (!line_.text.empty()) give();
    sink_(std::nullopt);
}

void LineReader::take(const char* bytes, std::size_t count) {
    const char* const end = bytes + count;
    while (bytes != end) {
        const char* const newline = std::find(bytes, end, '\n');
        const auto length = static_cast<std::size_t>(newline - bytes);
        const std::size_t room = kLongestLine - line_.text.size();
        line_.text.append(bytes, std::min(length, room));
        line_.cut = line_.cut || length > room;
        if (newline == end) return;
        give();
        bytes = newline + 1;
    }
}

void LineReader::give() {
    line_.read = std::chrono::steady_clock::now();
    sink_(std::exchange(line_, {}));
}

}  // namespace keisei::engine
