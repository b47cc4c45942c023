#include "engine/keep_alive.h"

namespace keisei::engine {

KeepAlive::~KeepAlive() {
    {
        const std::lock_guard lock(mutex_);
        end_ = true;
    }
    ended_.notify_one();
    thread_.join();
}

void KeepAlive::run() {
    std::unique_lock lock(mutex_);
    while (!ended_.wait_for(lock, kKeepAliveInterval, [this] { return end_; })) {
        output_.keep_alive();
    }
}

}  // namespace keisei::engine
