// keisei_play: a USI engine. See docs/usi.md.
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/evaluate_command.h"
#include "engine/model_loader.h"
#include "engine/torchscript_evaluator.h"
#include "engine/usi_session.h"

namespace {

using namespace keisei::engine;

constexpr int kUsageStatus = 2;
constexpr std::string_view kUsage =
    "usage: keisei_play [--model FILE|uniform] [--device auto|cpu|cuda|cuda:N]\n"
    "                   [--precision fp32|bf16|fp16] [--evaluate]\n"
    "\n"
    "A shogi engine that speaks USI on its standard input and output.\n"
    "\n"
    "  --model      a file made by keisei-export, or uniform: every move as good as any other\n"
    "               (the option DNN_Model sets it as well); load only files that you trust\n"
    "  --device     where the network runs; auto takes a GPU if there is one (option Device)\n"
    "  --precision  its arithmetic (option Precision)\n"
    "  --evaluate   read one SFEN a line, write its value and its 2187 policy logits, and end\n"
    "  --version    write the version and end\n"
    "  --help       write this and end\n";

struct Arguments {
    Settings settings;
    bool evaluate = false;
    bool help = false;
    bool version = false;
};

// Takes `--name value` and `--name=value`. Throws std::invalid_argument.
Arguments parse_arguments(const std::vector<std::string>& words) {
    Arguments out;
    for (std::size_t at = 0; at < words.size(); ++at) {
        const std::size_t equals = words[at].find('=');
        const std::string name = words[at].substr(0, equals);
        if (name == "--evaluate" || name == "--help" || name == "-h" || name == "--version") {
            if (equals != std::string::npos) {
                throw std::invalid_argument(name + ": expected no value, got one");
            }
            (name == "--evaluate"  ? out.evaluate
             : name == "--version" ? out.version
                                   : out.help) = true;
            continue;
        }
        if (name != "--model" && name != "--device" && name != "--precision") {
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
        if (name == "--model") {
            require(!value.empty(), "a file or uniform");
            out.settings.model = value;
        } else if (name == "--device") {
            require(is_device(value),
                    "auto, cpu, cuda or cuda:N, or several with commas between them");
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

}  // namespace

int main(int argc, char** argv) {
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
        if (arguments.evaluate) return evaluate(arguments.settings);
        return UsiSession(std::cout, arguments.settings, load_torchscript).run(STDIN_FILENO);
    } catch (const std::invalid_argument& e) {
        std::cerr << "keisei_play: " << e.what() << "\n\n" << kUsage;
        return kUsageStatus;
    } catch (const std::exception& e) {
        std::cerr << "keisei_play: " << e.what() << "\n";
        return 1;
    }
}
