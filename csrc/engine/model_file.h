// The file of an exported network, before libtorch loads it.
#pragma once

#include <string>

namespace keisei::engine {

// The manifest (JSON) of a file made by keisei-export. Throws std::runtime_error in one line, which
// says what the file is instead where that can be seen.
std::string read_manifest(const std::string& path);

}  // namespace keisei::engine
