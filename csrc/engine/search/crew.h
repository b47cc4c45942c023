// Threads that live as long as the crew and work together, one task after the other: what libraries
// set up per thread (CUDA, OpenMP) is there when the next task comes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace keisei::engine {

class Crew {
 public:
    Crew() = default;
    ~Crew() { resize(0); }
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    // Waits for the task that runs.
    void resize(std::size_t size) {
        if (size == threads_.size()) return;
        wait();
        {
            const std::lock_guard lock(mutex_);
            end_ = true;
            changed_.notify_all();
        }
        for (auto& thread : threads_) thread.join();
        threads_.clear();
        end_ = false;
        done_ = 0;
        task_number_ = 0;
        for (std::size_t i = 0; i < size; ++i) threads_.emplace_back([this, i] { live(i); });
    }

    // Each thread calls the task with its number. Not while one runs.
    void start(std::function<void(std::size_t)> task) {
        const std::lock_guard lock(mutex_);
        task_ = std::move(task);
        ++task_number_;
        done_ = 0;
        changed_.notify_all();
    }
    bool idle() {
        const std::lock_guard lock(mutex_);
        return task_number_ == 0 || done_ == threads_.size();
    }
    // Whether no task is left at that time.
    bool idle_by(std::chrono::steady_clock::time_point time) {
        std::unique_lock lock(mutex_);
        return changed_.wait_until(lock, time,
                                   [&] { return task_number_ == 0 || done_ == threads_.size(); });
    }
    // Until all threads are done with the task.
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return task_number_ == 0 || done_ == threads_.size(); });
    }

 private:
    void live(std::size_t number) {
        std::unique_lock lock(mutex_);
        for (std::size_t seen = 0;;) {
            changed_.wait(lock, [&] { return end_ || task_number_ != seen; });
            if (end_) return;
            seen = task_number_;
            const auto task = task_;
            lock.unlock();
            task(number);
            lock.lock();
            ++done_;
            changed_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void(std::size_t)> task_;
    std::size_t task_number_ = 0;
    std::size_t done_ = 0;
    bool end_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace keisei::engine
