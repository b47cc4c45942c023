#include "engine/model_file.h"

#include <caffe2/serialize/inline_container.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>

#include "engine/manifest.h"

namespace keisei::engine {
namespace {

[[noreturn]] void refuse(const std::string& got) {
    throw std::runtime_error("expected a file made by keisei-export (TorchScript), got " + got);
}

// Refuses what is no archive, as TorchScript files are.
void check_archive(const std::string& path) {
    constexpr std::string_view kArchive = "PK\x03\x04";
    constexpr std::size_t kLengthBytes = 8;  // of what follows, in safetensors
    if (std::filesystem::is_directory(path)) {
        refuse("a folder; if it is a run, keisei-export makes a file of it");
    }
    std::ifstream file(path, std::ios::binary);
    std::array<char, kLengthBytes + 1> head{};
    file.read(head.data(), head.size());
    const std::string_view text(head.data(), static_cast<std::size_t>(file.gcount()));
    if (!file.is_open()) refuse("a file that cannot be opened");
    if (text.empty()) refuse("an empty file");
    if (text.starts_with(kArchive)) return;
    if (text.size() > kLengthBytes && text[kLengthBytes] == '{') {
        refuse("a checkpoint, of which keisei-export makes one");
    }
    refuse(path.ends_with(".onnx") ? "an ONNX file, which is for other programs"
                                   : "a file of another kind");
}

}  // namespace

std::string read_manifest(const std::string& path) {
    check_archive(path);
    caffe2::serialize::PyTorchStreamReader reader(path);
    if (reader.hasRecord("models/model.json")) {
        refuse("a torch.export program (.pt2), which is for other programs");
    }
    if (!reader.hasRecord(kManifestRecord)) {
        throw std::runtime_error(
            "manifest: expected one in the file, got none; make the file with keisei-export");
    }
    const auto [data, size] = reader.getRecord(kManifestRecord);
    return {static_cast<const char*>(data.get()), size};
}

}  // namespace keisei::engine
