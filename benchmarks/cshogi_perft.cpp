// Counts leaves with cshogi's C++ move generator: a peer of Position.perft, built from cshogi's
// source archive by benchmarks/peers.py. Prints nodes and seconds.

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "init.hpp"
#include "position.hpp"

#include "generateMoves.hpp"
#include "search.hpp"
#include "usi.hpp"

namespace {

u64 perft(Position& position, int depth) {
    MoveList<LegalAll> moves(position);
    if (depth == 1) return moves.size();
    u64 nodes = 0;
    for (; !moves.end(); ++moves) {
        StateInfo state;
        position.doMove(moves.move(), state);
        nodes += perft(position, depth - 1);
        position.undoMove(moves.move());
    }
    return nodes;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: cshogi_perft DEPTH\n");
        return 2;
    }
    initTable();
    Position::initZobrist();
    Position position(DefaultStartPositionSFEN);
    const auto begin = std::chrono::steady_clock::now();
    const u64 nodes = perft(position, std::atoi(argv[1]));
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    std::printf("%llu %.9f\n", static_cast<unsigned long long>(nodes), spent.count());
    return 0;
}
