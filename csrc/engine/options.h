// The options that the engine declares, with their bounds, and the settings that they set.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/usi_output.h"

namespace keisei::engine {

struct Settings {
    std::string model;               // a TorchScript file, or "uniform"; empty: not given
    std::string device = "auto";     // auto, cpu, cuda, cuda:N
    std::string precision = "fp32";  // fp32, bf16, fp16
    bool declare = true;             // EnteringKingRule is CSARule27
    int64_t resign_value = 99999;    // centipawns
    int64_t max_moves_to_draw = 0;   // move number; 0: no limit
    int64_t seed = 0;
};

bool is_device(std::string_view text);
bool is_precision(std::string_view text);

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
