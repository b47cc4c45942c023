#include "engine/usi_output.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace keisei::engine {
namespace {

std::string time_of_day() {
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
    std::tm local{};
    localtime_r(&seconds, &local);
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%02d:%02d:%02d.%03d", local.tm_hour, local.tm_min,
                  local.tm_sec, static_cast<int>(ms.count() % 1000));
    return text.data();
}

}  // namespace

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
    log('<', safe);
}

void UsiOutput::info_string(std::string_view text) {
    line("info string " + printable(text));
}

void UsiOutput::keep_alive() {
    const std::lock_guard lock(mutex_);
    stream_ << '\n' << std::flush;
}

bool UsiOutput::log_to(const std::string& path) {
    const std::lock_guard lock(mutex_);
    if (path == log_path_) return true;
    std::ofstream file;
    if (!path.empty()) {
        file.open(path, std::ios::app);
        if (!file) return false;
    }
    log_ = std::move(file);
    log_path_ = path;
    return true;
}

void UsiOutput::log_input(std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (!log_.is_open()) return;
    constexpr std::size_t kLongest = 10'000;
    log('>', printable(text, kLongest));
}

void UsiOutput::log(char direction, std::string_view text) {
    if (log_.is_open()) log_ << time_of_day() << ' ' << direction << ' ' << text << std::endl;
}

}  // namespace keisei::engine
