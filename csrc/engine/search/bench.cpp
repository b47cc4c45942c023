#include "engine/search/bench.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iomanip>
#include <sstream>
#include <string>
#include <thread>

#include "engine/search/random_bits.h"
#include "engine/search/rules.h"
#include "engine/search/search.h"
#include "notation/sfen.h"
#include "notation/usi.h"

namespace keisei::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kSignatureNodes = 500;

// Openings, fights, mates, a handicap, full hands, an entered king.
constexpr const char* kPositions[] = {
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
    "lnsgkgsnl/9/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1",
    "lnsgk2nl/1r4gs1/p1pppp1pp/6p2/1p5P1/2P6/PPSPPPP1P/7R1/LN1GKGSNL b Bb 23",
    "l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w RGgsn5p 1",
    "l2+R2g1l/1s4gk1/p1+P2pnpp/5Np2/7P1/P4PP1P/1P2+n4/1BG6/LNSK4+r b GS6Pbsl 1",
    "7nl/5kP2/3p2g1p/2p1gp3/p6sP/s1BGpN3/4nPSp1/1+r4R2/L1+p3K1L w GSNLPb6p 122",
    "8k/9/9/9/9/9/9/9/K8 b 2R2B4G4S4N4L18P 1",
    "+R+R+B+BKG1S1/SS7/9/9/9/9/9/3p5/k8 w G10Pgs 101",
};

double since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Signature {
    uint64_t number = 0;
    int64_t nodes = 0;
    std::string moves;

    void add(uint64_t word) { number = mixed(number ^ word); }
};

Signature sign(std::span<Evaluator* const> evaluators, SearchSettings settings, int64_t nodes) {
    settings.threads = 1;
    settings.batch_size = 8;
    Search search;
    search.configure(settings);
    search.set_evaluators(evaluators.first(1));
    Signature out;
    for (const char* sfen : kPositions) {
        game::Game game(sfen);
        search.clear();
        search.set_position(game);
        Stop stop;
        SearchLimits limits;
        limits.nodes = nodes;
        limits.report_ms = 0;
        const SearchReport report = search.run(limits, stop);
        out.nodes += report.nodes;
        out.add(static_cast<uint64_t>(report.nodes));
        out.add(static_cast<uint64_t>(report.evaluations));
        for (const SearchLine& line : report.lines) {
            out.add(static_cast<uint64_t>(line.visits));
            out.add(static_cast<uint64_t>(line.mate + (1 << 16)));
            for (const int label : line.labels) out.add(static_cast<uint64_t>(label));
        }
        out.moves += ' ' + notation::to_usi(game.position(), report.lines.at(0).labels.at(0));
    }
    return out;
}

// Positions of a pseudo-random game each, with their legal labels.
struct Sample {
    std::vector<shogi::Position> positions;
    std::vector<uint32_t> ends;
    std::vector<uint16_t> labels;
};

Sample sample(int count) {
    Sample out;
    uint64_t random = 1;
    std::vector<uint16_t> moves;
    game::Game game;
    while (static_cast<int>(out.positions.size()) < count) {
        moves.clear();
        list_moves(game.position(), true, moves);
        constexpr int kLongest = 120;
        if (moves.empty() || game.plies_played() >= kLongest) {
            game = game::Game();
            continue;
        }
        out.positions.push_back(game.position());
        out.labels.insert(out.labels.end(), moves.begin(), moves.end());
        out.ends.push_back(static_cast<uint32_t>(out.labels.size()));
        random = mixed(random);
        game.push(moves[random % moves.size()]);
    }
    return out;
}

double raw_speed(std::span<Evaluator* const> evaluators, int threads, int batch, double seconds) {
    const Sample positions = sample(batch);
    std::atomic<int64_t> done{0};
    const auto begin = Clock::now();
    std::vector<std::thread> crew;
    for (int i = 0; i < threads * static_cast<int>(evaluators.size()); ++i) {
        crew.emplace_back([&, i] {
            std::vector<float> logits(positions.labels.size());
            std::vector<float> values(positions.positions.size());
            do {
                evaluators[static_cast<std::size_t>(i) % evaluators.size()]->evaluate_labels(
                    {positions.positions, positions.ends, positions.labels, logits, values});
                done += batch;
            } while (since(begin) < seconds);
        });
    }
    for (auto& thread : crew) thread.join();
    return static_cast<double>(done) / since(begin);
}

struct SearchSpeed {
    double playouts = 0;
    double evaluations = 0;
    double waiting = 0;  // the part of their time that its threads wait for evaluators
};

SearchSpeed search_speed(std::span<Evaluator* const> evaluators, SearchSettings settings,
                         double seconds) {
    Search search;
    search.configure(settings);
    search.set_evaluators(evaluators);
    search.set_position(game::Game(kPositions[2]));
    SearchLimits limits;
    limits.report_ms = 0;
    // Until the tree is large enough for whole batches.
    Stop warm;
    constexpr int64_t kVisitsPerPlace = 16;
    limits.nodes =
        kVisitsPerPlace * settings.batch_size * settings.threads * std::ssize(evaluators);
    search.run(limits, warm);
    limits.nodes = 0;
    limits.report_ms = 1;
    Stop stop;
    const auto begin = Clock::now();
    const SearchReport report = search.run(limits, stop, [&](const SearchReport&) {
        if (since(begin) >= seconds) stop.request();
    });
    const double time = since(begin);
    const auto threads = static_cast<double>(evaluators.size()) * settings.threads;
    return {static_cast<double>(report.nodes) / time,
            static_cast<double>(report.evaluations) / time, report.waited / (threads * time)};
}

struct Row {
    int batch;
    double raw;
    SearchSpeed search;
};

std::string hex(uint64_t number) {
    std::ostringstream out;
    out << std::hex << std::setfill('0') << std::setw(16) << number;
    return out.str();
}

void write_json(std::ostream& out, const Signature& signature, int64_t nodes,
                const std::vector<Row>& rows, double best, const std::string& evaluator) {
    out << "{\"evaluator\": \"" << evaluator << "\", \"signature\": \"" << hex(signature.number)
        << "\", \"nodes_a_position\": " << nodes << ", \"nodes\": " << signature.nodes
        << ", \"moves\": \"" << signature.moves.substr(1) << "\", \"rows\": [";
    for (std::size_t i = 0; i < rows.size(); ++i) {
        out << (i > 0 ? ", " : "") << "{\"batch\": " << rows[i].batch
            << ", \"raw_evaluations_per_second\": " << rows[i].raw
            << ", \"search_evaluations_per_second\": " << rows[i].search.evaluations
            << ", \"search_playouts_per_second\": " << rows[i].search.playouts
            << ", \"share_of_best_raw\": " << rows[i].search.evaluations / best
            << ", \"share_of_time_waiting\": " << rows[i].search.waiting << "}";
    }
    out << "]}\n";
}

void write_text(std::ostream& out, const Signature& signature, int64_t nodes,
                const std::vector<Row>& rows, double best, const std::string& evaluator) {
    out << "evaluator " << evaluator << "\nsignature " << hex(signature.number) << " ("
        << signature.nodes << " nodes, " << nodes << " a position at most)\nmoves"
        << signature.moves << "\n";
    if (rows.empty()) return;
    out << std::fixed << std::setprecision(0)
        << "  batch  raw evals/s  search evals/s  playouts/s  of best raw  waiting\n";
    for (const Row& row : rows) {
        constexpr double kPerCent = 100.0;
        out << std::setw(7) << row.batch << std::setw(13) << row.raw << std::setw(16)
            << row.search.evaluations << std::setw(12) << row.search.playouts << std::setw(12)
            << kPerCent * row.search.evaluations / best << '%' << std::setw(8)
            << kPerCent * row.search.waiting << "%\n";
    }
}

}  // namespace

void bench(std::ostream& out, std::span<Evaluator* const> evaluators,
           const SearchSettings& settings, const BenchOptions& options) {
    const int64_t nodes = options.nodes > 0 ? options.nodes : kSignatureNodes;
    const Signature signature = sign(evaluators, settings, nodes);
    std::vector<Row> rows;
    double best = 0;
    if (options.seconds > 0) {
        // One after the other for each size: what else the machine does changes with time.
        for (const int batch : options.batches) {
            // What is set up once for each size is not measured.
            raw_speed(evaluators, options.threads, batch, 0);
            const double raw = raw_speed(evaluators, options.threads, batch, options.seconds);
            SearchSettings measured = settings;
            measured.threads = options.threads;
            measured.batch_size = batch;
            rows.push_back({batch, raw, search_speed(evaluators, measured, options.seconds)});
            best = std::max(best, raw);
        }
    }
    std::ostringstream text;
    (options.json ? write_json : write_text)(text, signature, nodes, rows, best,
                                             evaluators[0]->describe());
    out << text.str() << std::flush;
}

}  // namespace keisei::engine
