// Many may be inside, until one closes the gate and is alone.
#pragma once

#include <condition_variable>
#include <mutex>

namespace keisei::engine {

class Gate {
 public:
    // Waits while the gate is closed, so that who closes it is never kept out for long.
    void enter() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !closed_; });
        ++inside_;
    }
    void leave() {
        const std::lock_guard lock(mutex_);
        --inside_;
        changed_.notify_all();
    }
    // Waits until nobody is inside. Not for who is inside.
    void close() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !closed_; });
        closed_ = true;
        changed_.wait(lock, [&] { return inside_ == 0; });
    }
    void open() {
        const std::lock_guard lock(mutex_);
        closed_ = false;
        changed_.notify_all();
    }

 private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int inside_ = 0;
    bool closed_ = false;
};

class Inside {
 public:
    explicit Inside(Gate& gate) : gate_(gate) { gate_.enter(); }
    ~Inside() { gate_.leave(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

 private:
    Gate& gate_;
};

}  // namespace keisei::engine
