// A uniformly random legal label for each game.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "batch/layout.h"
#include "batch/random.h"

namespace keisei::batch {

struct UniformSampleArgs {
    const uint32_t* mask;  // [games, 81]
    const int32_t* clock;  // [games]
    int64_t* action;       // [games]; -1 where no label is legal
    int64_t games;
    uint64_t seed;
    int64_t first_game;  // index of the first game among all ranks' games
};

// Which of a game's `count` (> 0) legal labels, in ascending order, is drawn. `game` is the global
// index.
KEISEI_HD uint32_t uniform_choice(uint64_t seed, int64_t game, int32_t clock, uint32_t count) {
    const RandomBlock block = random_block(seed, game, clock, RandomStream::uniform_label, 0);
    return random_below(block.word[0], count);
}

// Index of the set bit of x that has k set bits below it.
KEISEI_HD int nth_set_bit(uint32_t x, uint32_t k) {
    int at = 0;
    for (int half = 16; half > 0; half /= 2) {
        const auto low = static_cast<uint32_t>(shogi::popcount((x >> at) & ((1u << half) - 1)));
        if (k >= low) {
            k -= low;
            at += half;
        }
    }
    return at;
}

// A uniformly random label of one packed mask; -1 if none is legal.
inline int uniform_label(const uint32_t* mask, uint64_t seed, int64_t game, int32_t clock) {
    // Counted two words at a time, and by spans of nine words, one of which holds the choice.
    constexpr int kSpan = 9;
    constexpr uint64_t kBoth = shogi::kWordMask | static_cast<uint64_t>(shogi::kWordMask) << 32;
    uint32_t counts[kMaskWords / kSpan];
    uint32_t count = 0;
    for (int span = 0; span < kMaskWords / kSpan; ++span) {
        const uint32_t* const words = mask + span * kSpan;
        auto here = static_cast<uint32_t>(shogi::popcount(mask_word(words, kSpan - 1)));
        for (int w = 0; w + 1 < kSpan; w += 2) {
            uint64_t pair;
            std::memcpy(&pair, words + w, sizeof(pair));
            here += static_cast<uint32_t>(std::popcount(pair & kBoth));
        }
        counts[span] = here;
        count += here;
    }
    if (count == 0) return -1;
    uint32_t k = uniform_choice(seed, game, clock, count);
    int w = 0;
    for (const uint32_t* span = counts; k >= *span; ++span, w += kSpan) k -= *span;
    for (;; ++w) {
        const uint32_t word = mask_word(mask, w);
        const auto in_word = static_cast<uint32_t>(shogi::popcount(word));
        if (k < in_word) return w * shogi::kWordBits + nth_set_bit(word, k);
        k -= in_word;
    }
}

void uniform_sample_cpu(const UniformSampleArgs& args, int64_t begin, int64_t end);
void uniform_sample_cuda(const UniformSampleArgs& args, void* stream);

}  // namespace keisei::batch
