#include "batch/perft.h"

#include "shogi/perft.h"

namespace keisei::batch {

void perft_cpu(const PerftArgs& args, int64_t begin, int64_t end) {
    for (int64_t game = begin; game < end; ++game) {
        args.nodes[game] =
            static_cast<int64_t>(shogi::perft(load_position(args.positions, game), args.depth));
    }
}

}  // namespace keisei::batch
