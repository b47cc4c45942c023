// A network exported to TorchScript. Its source and that of its CUDA graphs include libtorch.
#pragma once

#include <memory>
#include <string>

#include "engine/evaluator.h"
#include "engine/usi_output.h"

namespace keisei::engine {

// Reads and checks the manifest, loads the file, moves, casts and freezes it and runs it once, so
// that what is set up once is set up. On a GPU each further size of batch is recorded as a graph
// by each thread that meets it first, which takes some milliseconds. `device` is auto, cpu, cuda or
// cuda:N; `precision` fp32, bf16 or fp16. libtorch's warnings, and which device was taken, go to
// `output`. Throws std::runtime_error in one line. A TorchScript file is a program: load only
// trusted ones.
std::unique_ptr<Evaluator> load_torchscript(const std::string& path, const std::string& device,
                                            const std::string& precision, UsiOutput& output);

}  // namespace keisei::engine
