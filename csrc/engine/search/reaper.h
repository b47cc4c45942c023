// Frees big things on a thread of its own, so that nobody waits for it.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace keisei::engine {

template <typename T>
class Reaper {
 public:
    explicit Reaper(std::function<void(T)> free) : free_(std::move(free)) {}
    ~Reaper() {
        {
            const std::lock_guard lock(mutex_);
            end_ = true;
            changed_.notify_all();
        }
        if (thread_.joinable()) thread_.join();
    }
    Reaper(const Reaper&) = delete;
    Reaper& operator=(const Reaper&) = delete;

    void give(T thing) {
        const std::lock_guard lock(mutex_);
        if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
        waiting_.push_back(thing);
        changed_.notify_all();
    }
    // Until all that was given is free.
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return waiting_.empty() && !busy_; });
    }

 private:
    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [&] { return end_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            const T thing = waiting_.back();
            waiting_.pop_back();
            busy_ = true;
            lock.unlock();
            free_(thing);
            lock.lock();
            busy_ = false;
            changed_.notify_all();
        }
    }

    std::function<void(T)> free_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<T> waiting_;
    bool busy_ = false;
    bool end_ = false;
    std::thread thread_;
};

}  // namespace keisei::engine
