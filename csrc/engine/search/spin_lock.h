// A lock of one byte for what is held for microseconds at most.
#pragma once

#include <atomic>
#include <thread>

namespace keisei::engine {

class SpinLock {
 public:
    void lock() {
        constexpr int kPatience = 256;
        for (int tries = 0; held_.exchange(true, std::memory_order_acquire);) {
            // Whoever waits only reads: a write would take the line from the holder.
            for (; held_.load(std::memory_order_relaxed); ++tries) {
                if (tries < kPatience) {
                    pause();
                } else {
                    std::this_thread::yield();  // the holder may have lost its core
                }
            }
        }
    }
    void unlock() { held_.store(false, std::memory_order_release); }

 private:
    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }

    std::atomic<bool> held_{false};
};

}  // namespace keisei::engine
