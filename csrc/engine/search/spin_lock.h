// A lock of one byte for what is held for less than a microsecond.
#pragma once

#include <atomic>
#include <thread>

namespace keisei::engine {

class SpinLock {
 public:
    void lock() {
        constexpr int kPatience = 64;
        for (int tries = 0; held_.exchange(true, std::memory_order_acquire); ++tries) {
            // The holder may have lost its core.
            if (tries >= kPatience) std::this_thread::yield();
        }
    }
    void unlock() { held_.store(false, std::memory_order_release); }

 private:
    std::atomic<bool> held_{false};
};

}  // namespace keisei::engine
