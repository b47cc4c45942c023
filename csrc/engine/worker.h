// One thread that does one job after the other. What libraries set up per thread (CUDA, OpenMP) is
// there for all of them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace keisei::engine {

class Worker {
 public:
    Worker() : thread_([this] { run(); }) {}
    // Waits for the job it is at.
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Waits for the job before. `job` must not throw.
    void start(std::function<void()> job);
    // Whether no job is left at that time.
    bool idle_by(std::chrono::steady_clock::time_point time);
    void wait();

 private:
    void run();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void()> job_;  // empty: nothing to do
    bool end_ = false;
    std::thread thread_;  // last: it uses all the others
};

}  // namespace keisei::engine
