// keisei_play: a USI engine. See docs/usi.md.
#include <malloc.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/evaluate_command.h"
#include "engine/model_loader.h"
#include "engine/search/bench.h"
#include "engine/torchscript_evaluator.h"
#include "engine/usi_parse.h"
#include "engine/usi_session.h"

namespace {

using namespace keisei::engine;

constexpr int kUsageStatus = 2;
constexpr std::string_view kUsage =
    "usage: keisei_play [bench [NODES]] [--model FILE|uniform|mock]\n"
    "                   [--device auto|cpu|cuda|cuda:N|cuda:N,cuda:N,...]\n"
    "                   [--precision fp32|bf16|fp16]\n"
    "                   [--evaluate] [--json] [--seconds S] [--threads N] [--batches N,N,...]\n"
    "       keisei_play --analyse GAME ...\n"
    "\n"
    "A shogi engine that speaks USI on its standard input and output.\n"
    "\n"
    "  --analyse    go through a game record and end; keisei_play --analyse --help has more\n"
    "               (the command that pip installs takes it, this program alone does not)\n"
    "  bench        measure the search and the evaluator, and end: a signature of the search\n"
    "               (NODES nodes a position; by default 500), then speeds by batch\n"
    "  --model      a file made by keisei-export, or uniform: every move as good as any other,\n"
    "               or mock: made-up opinions, the same everywhere, for trying things out\n"
    "               (the option DNN_Model sets it as well); load only files that you trust\n"
    "  --device     where the network runs; auto takes a GPU if there is one (option Device)\n"
    "  --precision  its arithmetic (option Precision)\n"
    "  --evaluate   read one SFEN a line, write its value and its 2187 policy logits, and end\n"
    "  --json       bench writes one JSON object\n"
    "  --seconds    of each measurement of bench; 0 leaves only the signature (by default 2)\n"
    "  --threads    of the search in bench, for each device (by default 2)\n"
    "  --batches    that bench measures (by default 1,8,32,64,128,256,512)\n"
    "  --version    write the version and end\n"
    "  --help       write this and end\n";

struct Arguments {
    Settings settings;
    bool bench = false;
    BenchOptions bench_options;
    bool evaluate = false;
    bool help = false;
    bool version = false;
};

constexpr int64_t kMostNodes = 1'000'000'000;
constexpr int64_t kMostSeconds = 3600;
constexpr int64_t kMostThreads = 512;
constexpr int64_t kMostBatch = 65536;

// Throws std::invalid_argument.
int64_t number_of(const std::string& name, std::string_view text, int64_t least, int64_t most) {
    const auto number = whole_number(text);
    if (number && *number >= least && *number <= most) return *number;
    throw std::invalid_argument(name + ": expected a whole number from " + std::to_string(least) +
                                " to " + std::to_string(most) + ", got '" + printable(text, 80) +
                                "'");
}

std::vector<int> batches_of(const std::string& name, const std::string& text) {
    std::vector<int> out;
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ',');) {
        out.push_back(static_cast<int>(number_of(name, part, 1, kMostBatch)));
    }
    if (out.empty()) throw std::invalid_argument(name + ": expected numbers, got nothing");
    return out;
}

// What only `bench` takes. Returns false if it is something else.
bool take_bench(BenchOptions& options, const std::string& name, const std::string& value) {
    if (name == "--seconds") {
        options.seconds = static_cast<double>(number_of(name, value, 0, kMostSeconds));
    } else if (name == "--threads") {
        options.threads = static_cast<int>(number_of(name, value, 1, kMostThreads));
    } else if (name == "--batches") {
        options.batches = batches_of(name, value);
    } else {
        return false;
    }
    return true;
}

// Takes `--name value` and `--name=value`. Throws std::invalid_argument.
Arguments parse_arguments(const std::vector<std::string>& words) {
    Arguments out;
    for (std::size_t at = 0; at < words.size(); ++at) {
        const std::size_t equals = words[at].find('=');
        const std::string name = words[at].substr(0, equals);
        if (name == "bench" && at == 0) {
            out.bench = true;
            if (words.size() > 1 && !words[1].starts_with("--")) {
                out.bench_options.nodes = number_of("bench", words[++at], 1, kMostNodes);
            }
            continue;
        }
        if (name == "--json" || name == "--evaluate" || name == "--help" || name == "-h" ||
            name == "--version") {
            if (equals != std::string::npos) {
                throw std::invalid_argument(name + ": expected no value, got one");
            }
            (name == "--evaluate"  ? out.evaluate
             : name == "--json"    ? out.bench_options.json
             : name == "--version" ? out.version
                                   : out.help) = true;
            continue;
        }
        if (name != "--model" && name != "--device" && name != "--precision" &&
            !(out.bench && (name == "--seconds" || name == "--threads" || name == "--batches"))) {
            throw std::invalid_argument("unknown argument '" + printable(words[at], 80) + "'");
        }
        if (equals == std::string::npos && at + 1 == words.size()) {
            throw std::invalid_argument(name + ": expected a value, got nothing");
        }
        const std::string value =
            equals == std::string::npos ? words[++at] : words[at].substr(equals + 1);
        const auto require = [&](bool good, const std::string& expected) {
            if (good) return;
            throw std::invalid_argument(name + ": expected " + expected + ", got '" +
                                        printable(value, 80) + "'");
        };
        if (take_bench(out.bench_options, name, value)) continue;
        if (name == "--model") {
            require(!value.empty(), "a file, uniform or mock");
            out.settings.model = value;
        } else if (name == "--device") {
            require(
                is_device(value),
                "auto, cpu, cuda or cuda:N, or several different ones with commas between them");
            out.settings.device = value;
        } else {
            require(is_precision(value), "fp32, bf16 or fp16");
            out.settings.precision = value;
        }
    }
    return out;
}

int evaluate(const Settings& settings) {
    UsiOutput messages(std::cerr);  // standard output is for the numbers
    ModelLoader model(load_torchscript);
    model.load(settings, messages);
    return evaluate_lines(std::cin, std::cout, *model.evaluators().front());
}

// What a layer of a network needs is freed after it, and needed again by the next one. By itself
// glibc gives much of it back to the kernel, and every page comes back by a fault.
void keep_freed_memory() {
#ifdef __GLIBC__
    constexpr int kMiB = 1 << 20;
    constexpr int kLargestPiece = 32 * kMiB;  // that glibc accepts
    constexpr int kKept = 256 * kMiB;         // unused at the end of a heap
    mallopt(M_MMAP_THRESHOLD, kLargestPiece);
    mallopt(M_TRIM_THRESHOLD, kKept);
#endif
}

int run_bench(const Arguments& arguments) {
    UsiOutput messages(std::cerr);
    ModelLoader model(load_torchscript);
    model.load(arguments.settings, messages);
    bench(std::cout, model.evaluators(), arguments.settings.search, arguments.bench_options);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    keep_freed_memory();
    // A GUI that is gone shows as the end of input, not as a signal.
    std::signal(SIGPIPE, SIG_IGN);
    std::ios::sync_with_stdio(false);
    try {
        const Arguments arguments = parse_arguments({argv + 1, argv + argc});
        if (arguments.help) {
            std::cout << kUsage;
            return 0;
        }
        if (arguments.version) {
            std::cout << "keisei_play " KEISEI_VERSION "\n";
            return 0;
        }
        if (arguments.bench) return run_bench(arguments);
        if (arguments.evaluate) return evaluate(arguments.settings);
        return UsiSession(std::cout, arguments.settings, load_torchscript).run(STDIN_FILENO);
    } catch (const std::invalid_argument& e) {
        std::cerr << "keisei_play: " << e.what() << "; --help says what there is\n";
        return kUsageStatus;
    } catch (const std::exception& e) {
        std::cerr << "keisei_play: " << e.what() << "\n";
        return 1;
    }
}
