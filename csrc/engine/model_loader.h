// The evaluator that the settings ask for, loaded once and kept until they ask for another.
#pragma once

#include <filesystem>
#include <memory>
#include <tuple>

#include "engine/evaluator.h"
#include "engine/options.h"
#include "engine/usi_output.h"

namespace keisei::engine {

class ModelLoader {
 public:
    // Slow the first time, and again when model, device or precision changed or the file was
    // written anew. Throws std::runtime_error in one line, and keeps nothing loaded then.
    void load(const Settings& settings, UsiOutput& output);

    // What `load` loaded last; null if nothing.
    Evaluator* evaluator() const { return evaluator_.get(); }

 private:
    using Wanted =
        std::tuple<std::string, std::string, std::string, std::filesystem::file_time_type>;
    Wanted loaded_;
    std::unique_ptr<Evaluator> evaluator_;
};

}  // namespace keisei::engine
