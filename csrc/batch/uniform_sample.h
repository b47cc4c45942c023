// A uniformly random legal label for each game.
#pragma once

#include <cstdint>

#include "batch/random.h"
#include "shogi/platform.h"

namespace keisei::batch {

struct UniformSampleArgs {
    const uint32_t* mask;  // [games, 81]
    const int32_t* clock;  // [games]
    int64_t* action;       // [games]; -1 where no label is legal
    int64_t games;
    uint64_t seed;
    int64_t first_game;  // index of the first game among all ranks' games
};

// Which of a game's `count` (> 0) legal labels, in ascending order, is drawn.
KEISEI_HD uint32_t uniform_choice(const UniformSampleArgs& args, int64_t game, uint32_t count) {
    const RandomBlock block = random_block(args.seed, args.first_game + game, args.clock[game],
                                           RandomStream::uniform_label, 0);
    return random_below(block.word[0], count);
}

// Index of the set bit of x that has k set bits below it.
KEISEI_HD int nth_set_bit(uint32_t x, uint32_t k) {
    for (; k > 0; --k) x &= x - 1;
    return shogi::lowest_bit(x);
}

void uniform_sample_cpu(const UniformSampleArgs& args, int64_t begin, int64_t end);
void uniform_sample_cuda(const UniformSampleArgs& args, void* stream);

}  // namespace keisei::batch
