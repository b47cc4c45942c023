// The search with its network, on a thread of its own. Everything here is called by one thread, the
// session's; only the notice comes from another one.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/model_loader.h"
#include "engine/options.h"
#include "engine/search/mate.h"
#include "engine/search/search.h"
#include "engine/search/stop.h"
#include "engine/usi_output.h"
#include "engine/worker.h"
#include "game/game.h"

namespace keisei::engine {

// How far the work of the last start has come.
struct Progress {
    SearchReport report;             // the latest
    std::optional<MateResult> mate;  // the answer of `solve`
    std::string error;               // in one line, if the work failed
    bool done = false;               // nothing will follow
};

class Player {
 public:
    // Called on the player's thread with the number of the start, now and then while it works and
    // when it is done.
    using Notify = std::function<void(uint64_t start)>;

    Player(LoadNetwork load_network, UsiOutput& output, Notify notify);
    ~Player();  // stops what runs

    // Loads the network, if it is not loaded yet, and takes the search's memory; waits for both,
    // and for a batch of the last search. Throws std::runtime_error in one line.
    void load(const Settings& settings);
    // Whether there is one, be it what the settings ask for or not.
    bool has_network() const { return !models_.evaluators().empty(); }

    // Work starts when the work before has ended, which must have been stopped. Both return the
    // number of this start. A network must be loaded for `search`, and there must be a legal move.
    uint64_t search(const Settings& settings, const game::Game& game, SearchLimits limits);
    uint64_t solve(const game::Game& game, const MateLimits& limits);
    // The next search begins without what earlier ones learned.
    void forget() { forget_ = true; }

    // Waits until there is a line to answer with, at most until that time.
    void reported_by(std::chrono::steady_clock::time_point time);
    void stop();
    // Whether no work is left at that time; soon after `stop`.
    bool idle_by(std::chrono::steady_clock::time_point time) { return worker_.idle_by(time); }

    // Where the work of the last start stands.
    Progress look();

 private:
    struct Shared;

    uint64_t begin();  // a new Shared

    UsiOutput& output_;
    Notify notify_;
    ModelLoader models_;
    Search search_;
    Stop stop_;
    std::atomic<bool> forget_{false};
    uint64_t starts_ = 0;
    std::shared_ptr<Shared> shared_;
    Worker worker_;  // last: its jobs use all the others
};

}  // namespace keisei::engine
