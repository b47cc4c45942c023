#include "engine/model_loader.h"

#include <stdexcept>
#include <string_view>

#include "engine/search/mock_evaluator.h"
#include "engine/uniform_evaluator.h"

namespace keisei::engine {
namespace {

constexpr std::string_view kUniform = "uniform";
constexpr std::string_view kMock = "mock";

}  // namespace

ModelLoader::Wanted ModelLoader::wanted(const Settings& settings) {
    if (settings.model.empty()) {
        throw std::runtime_error(
            "DNN_Model: expected a file made by keisei-export, or uniform, got nothing; set the "
            "option or start with --model");
    }
    std::filesystem::file_time_type written{};
    if (settings.model != kUniform && settings.model != kMock) {
        std::error_code error;
        written = std::filesystem::last_write_time(settings.model, error);
        if (error) {
            throw std::runtime_error("model " + settings.model + ": " + error.message());
        }
    }
    return {settings.model, settings.device, settings.precision, written};
}

bool ModelLoader::is_loaded(const Settings& settings) const {
    try {
        return !evaluators_.empty() && wanted(settings) == loaded_;
    } catch (const std::runtime_error&) {
        return false;
    }
}

void ModelLoader::load(const Settings& settings, UsiOutput& output) {
    unload();  // before the next ones take memory
    loaded_ = wanted(settings);
    if (settings.model == kUniform) {
        evaluators_.push_back(std::make_unique<UniformEvaluator>());
    } else if (settings.model == kMock) {
        evaluators_.push_back(std::make_unique<MockEvaluator>());
    } else {
        try {
            for (const auto& device : split_devices(settings.device)) {
                evaluators_.push_back(
                    load_network_(settings.model, device, settings.precision, output));
            }
        } catch (...) {
            unload();
            throw;
        }
    }
}

std::vector<Evaluator*> ModelLoader::evaluators() const {
    std::vector<Evaluator*> out;
    for (const auto& evaluator : evaluators_) out.push_back(evaluator.get());
    return out;
}

}  // namespace keisei::engine
