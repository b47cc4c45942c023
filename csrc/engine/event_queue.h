// What the session waits for, in the order in which it happened.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace keisei::engine {

// Any thread may put, one takes.
template <typename Event>
class EventQueue {
 public:
    using Clock = std::chrono::steady_clock;

    void put(Event event) {
        const std::lock_guard lock(mutex_);
        events_.push_back(std::move(event));
        changed_.notify_all();
    }

    // Waits while many events are untaken, so that a flood of them stays where it comes from.
    void put_patiently(Event event) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return closed_ || events_.size() < kMany; });
        if (closed_) return;
        events_.push_back(std::move(event));
        changed_.notify_all();
    }

    // The next event; nothing if none comes before `until`.
    std::optional<Event> take(Clock::time_point until) {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_until(lock, until, [this] { return !events_.empty(); })) {
            return std::nullopt;
        }
        Event event = std::move(events_.front());
        events_.pop_front();
        changed_.notify_all();
        return event;
    }

    // Nobody will take any more: who waits to put goes on, and what is put patiently is dropped.
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        changed_.notify_all();
    }

 private:
    static constexpr std::size_t kMany = 4096;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Event> events_;
    bool closed_ = false;
};

}  // namespace keisei::engine
