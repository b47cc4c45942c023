// Tells a running search, from any thread, that its answer is wanted now.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace keisei::engine {

class Stop {
 public:
    // Takes effect at once in a search that waits, and after a few walks in one that works.
    void request() {
        requested_.store(true, std::memory_order_release);
        wake();
    }
    bool requested() const { return requested_.load(std::memory_order_acquire); }
    // Only while no search runs.
    void reset() { requested_.store(false, std::memory_order_release); }

    // Lets a waiting search look at its condition again.
    void wake() {
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
    }
    // Until the condition holds, a stop is requested or the time has come; the condition is asked
    // after every wake().
    template <typename Condition>
    void wait_until(std::chrono::steady_clock::time_point time, Condition&& condition) {
        std::unique_lock lock(mutex_);
        changed_.wait_until(lock, time, [&] { return requested() || condition(); });
    }

 private:
    std::atomic<bool> requested_{false};
    std::mutex mutex_;
    std::condition_variable changed_;
};

}  // namespace keisei::engine
