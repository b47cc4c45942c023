// A newline every few seconds while something slow runs on the calling thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "engine/usi_output.h"

namespace keisei::engine {

constexpr std::chrono::seconds kKeepAliveInterval{5};

// Runs from construction to destruction. The slow work stays on its own thread, so that what it
// sets up per thread (CUDA, OpenMP) is there when that thread goes on.
class KeepAlive {
 public:
    explicit KeepAlive(UsiOutput& output) : output_(output), thread_([this] { run(); }) {}
    ~KeepAlive();
    KeepAlive(const KeepAlive&) = delete;
    KeepAlive& operator=(const KeepAlive&) = delete;

 private:
    void run();

    UsiOutput& output_;
    std::mutex mutex_;
    std::condition_variable ended_;
    bool end_ = false;
    std::thread thread_;  // last: it uses all the others
};

}  // namespace keisei::engine
