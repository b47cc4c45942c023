// What an exported model says of itself, and whether this engine can play it.
#pragma once

#include <string_view>

namespace keisei::engine {

// The manifest's name among the extra files of a TorchScript file.
constexpr char kManifestRecord[] = "extra/manifest.json";

// Throws std::invalid_argument in one line unless the manifest (JSON) has the format, its version,
// plane set and label set that this engine was built for.
void check_manifest(std::string_view json);

}  // namespace keisei::engine
