// A network exported to TorchScript. Its source and that of its CUDA graphs include libtorch.
#pragma once

#include <memory>
#include <string>

#include "engine/evaluator.h"
#include "engine/usi_output.h"

namespace keisei::engine {

// Reads and checks the manifest, loads the file, moves, casts and freezes it and runs it once, so
// that the first evaluation is as fast as the others. `device` is auto, cpu, cuda or cuda:N;
// `precision` fp32, bf16 or fp16. libtorch's warnings, and which device was taken, go to `output`.
// Throws std::runtime_error in one line. A TorchScript file is a program: load only trusted ones.
std::unique_ptr<Evaluator> load_torchscript(const std::string& path, const std::string& device,
                                            const std::string& precision, UsiOutput& output);

}  // namespace keisei::engine
