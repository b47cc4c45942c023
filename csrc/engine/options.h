// The options that the engine declares, with their bounds, and the settings that they set.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/search/settings.h"
#include "engine/time_manager.h"
#include "engine/usi_output.h"

namespace keisei::engine {

struct Settings {
    std::string model;               // a TorchScript file, "uniform" or "mock"; empty: not given
    std::string device = "auto";     // auto, cpu, cuda, cuda:N, or several of these, by commas
    std::string precision = "fp32";  // fp32, bf16, fp16
    SearchSettings search;
    TimeSettings time;
    int64_t resign_value = 99999;  // centipawns; kNeverResign: never
    int64_t multipv = 1;
    int64_t nodes_limit = 0;    // 0: none
    int64_t depth_limit = 0;    // 0: none
    int64_t pv_interval = 300;  // milliseconds
    bool ponder = false;
    bool stochastic_ponder = false;
    bool own_book = true;
    std::string book_file;        // empty: none
    int64_t book_moves = 16;      // move number up to which the book is asked
    int64_t book_eval_diff = 30;  // centipawns
    std::string debug_log_file;   // empty: none
};

constexpr int64_t kNeverResign = 99999;

// auto, cpu, cuda, cuda:N, or several of these with commas between them.
bool is_device(std::string_view text);
bool is_precision(std::string_view text);
// The devices that such a text names.
std::vector<std::string> split_devices(std::string_view text);

class Options {
 public:
    // `defaults` come from the command line.
    explicit Options(const Settings& defaults) : defaults_(defaults), settings_(defaults) {}

    const Settings& settings() const { return settings_; }

    void declare(UsiOutput& output) const;

    // Returns what is wrong, having changed nothing then; else an empty text.
    std::string set(std::string_view name, std::string_view value);

 private:
    Settings defaults_;
    Settings settings_;
};

}  // namespace keisei::engine
