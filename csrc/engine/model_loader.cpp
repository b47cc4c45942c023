#include "engine/model_loader.h"

#include <stdexcept>
#include <string_view>

#include "engine/search/mock_evaluator.h"
#include "engine/torchscript_evaluator.h"
#include "engine/uniform_evaluator.h"

namespace keisei::engine {
namespace {

constexpr std::string_view kUniform = "uniform";
constexpr std::string_view kMock = "mock";

}  // namespace

void ModelLoader::load(const Settings& settings, UsiOutput& output) {
    if (settings.model.empty()) {
        evaluator_.reset();
        throw std::runtime_error(
            "DNN_Model: expected a file made by keisei-export, or uniform, got nothing; set the "
            "option or start with --model");
    }
    std::filesystem::file_time_type written{};
    if (settings.model != kUniform && settings.model != kMock) {
        std::error_code error;
        written = std::filesystem::last_write_time(settings.model, error);
        if (error) {
            evaluator_.reset();
            throw std::runtime_error("model " + settings.model + ": " + error.message());
        }
    }
    Wanted wanted{settings.model, settings.device, settings.precision, written};
    if (evaluator_ && wanted == loaded_) return;
    evaluator_.reset();  // before the next one takes memory
    if (settings.model == kUniform) {
        evaluator_ = std::make_unique<UniformEvaluator>();
    } else if (settings.model == kMock) {
        evaluator_ = std::make_unique<MockEvaluator>();
    } else {
        evaluator_ = load_torchscript(settings.model, settings.device, settings.precision, output);
    }
    loaded_ = std::move(wanted);
}

}  // namespace keisei::engine
