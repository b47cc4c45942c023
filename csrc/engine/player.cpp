#include "engine/player.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace keisei::engine {

struct Player::Shared {
    std::mutex mutex;
    std::condition_variable changed;
    Progress progress;
    bool noticed = false;  // there was a notice since the last look
};

Player::Player(LoadNetwork load_network, UsiOutput& output, Notify notify)
    : output_(output),
      notify_(std::move(notify)),
      models_(std::move(load_network)),
      shared_(std::make_shared<Shared>()) {}

Player::~Player() {
    stop();
    worker_.wait();
}

void Player::load(const Settings& settings) {
    worker_.wait();
    std::exception_ptr failure;
    worker_.start([&] {
        try {
            if (!models_.is_loaded(settings)) {
                search_.set_evaluators({});
                models_.load(settings, output_);
                search_.set_evaluators(models_.evaluators());
            }
            search_.configure(settings.search);
            search_.take_memory();
        } catch (...) {
            failure = std::current_exception();
        }
    });
    worker_.wait();
    if (failure) std::rethrow_exception(failure);
}

uint64_t Player::begin() {
    worker_.wait();
    stop_.reset();
    shared_ = std::make_shared<Shared>();
    return ++starts_;
}

uint64_t Player::search(const Settings& settings, const game::Game& game, SearchLimits limits) {
    const uint64_t start = begin();
    worker_.start(
        [this, start, game, shared = shared_, with = settings.search, limits = std::move(limits)] {
            const auto reporter = [&](const SearchReport& report) {
                {
                    const std::lock_guard lock(shared->mutex);
                    shared->progress.report = report;
                    shared->changed.notify_all();
                    if (std::exchange(shared->noticed, true)) return;
                }
                notify_(start);
            };
            std::string error;
            try {
                if (search_.await_last(stop_)) {
                    search_.configure(with);
                    if (forget_.exchange(false)) search_.clear();
                    search_.set_position(game);
                    SearchReport report = search_.run(limits, stop_, reporter);
                    const std::lock_guard lock(shared->mutex);
                    shared->progress.report = std::move(report);
                }
            } catch (const std::exception& e) {
                error = e.what();
            }
            {
                const std::lock_guard lock(shared->mutex);
                shared->progress.error = std::move(error);
                shared->progress.done = true;
                shared->changed.notify_all();
            }
            notify_(start);
        });
    return start;
}

uint64_t Player::solve(const game::Game& game, const MateLimits& limits) {
    const uint64_t start = begin();
    worker_.start([this, start, game, limits, shared = shared_] {
        MateResult result;
        std::string error;
        try {
            result = solve_mate(game, limits, stop_);
        } catch (const std::exception& e) {
            error = e.what();
        }
        {
            const std::lock_guard lock(shared->mutex);
            shared->progress.mate = std::move(result);
            shared->progress.error = std::move(error);
            shared->progress.done = true;
            shared->changed.notify_all();
        }
        notify_(start);
    });
    return start;
}

void Player::reported_by(std::chrono::steady_clock::time_point time) {
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait_until(lock, time, [&] {
        return shared_->progress.done || !shared_->progress.report.lines.empty();
    });
}

void Player::stop() {
    stop_.request();
}

Progress Player::look() {
    const std::lock_guard lock(shared_->mutex);
    shared_->noticed = false;
    return shared_->progress;
}

}  // namespace keisei::engine
