// The evaluators that the settings ask for, loaded once and kept until they ask for others.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "engine/evaluator.h"
#include "engine/options.h"
#include "engine/usi_output.h"

namespace keisei::engine {

// Loads the network of a file onto one device: load_torchscript, where there is libtorch. Throws
// std::runtime_error in one line.
using LoadNetwork =
    std::function<std::unique_ptr<Evaluator>(const std::string& path, const std::string& device,
                                             const std::string& precision, UsiOutput& output)>;

class ModelLoader {
 public:
    explicit ModelLoader(LoadNetwork load_network) : load_network_(std::move(load_network)) {}

    // Whether what `settings` ask for is loaded; not if the model, the device or the precision
    // changed, or the file was written anew.
    bool is_loaded(const Settings& settings) const;
    // Slow. Throws std::runtime_error in one line, and keeps nothing loaded then.
    void load(const Settings& settings, UsiOutput& output);
    void unload() { evaluators_.clear(); }

    // What `load` loaded last, one for each device; empty if nothing.
    std::vector<Evaluator*> evaluators() const;

 private:
    using Wanted =
        std::tuple<std::string, std::string, std::string, std::filesystem::file_time_type>;

    // Throws std::runtime_error if there is no such file.
    static Wanted wanted(const Settings& settings);

    LoadNetwork load_network_;
    Wanted loaded_;
    std::vector<std::unique_ptr<Evaluator>> evaluators_;
};

}  // namespace keisei::engine
