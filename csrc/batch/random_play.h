// Many plies of uniformly random play in one go: in each ply what `uniform_sample` draws, then what
// `step` does, to the bit.
#pragma once

#include "batch/random.h"
#include "batch/state.h"
#include "shogi/outcome.h"

namespace keisei::batch {

// Cells of the tally: moves made, then games ended by each shogi::Ending from 1 on.
constexpr int kTallyCells = 6;
static_assert(static_cast<int>(shogi::Ending::move_limit) == kTallyCells - 1);

struct RandomPlayArgs {
    State state;
    int64_t* tally;  // [6], added to
    uint64_t seed;
    int32_t plies;
};

void random_play_cpu(const RandomPlayArgs& args, int64_t begin, int64_t end, int64_t* tally);
void random_play_cuda(const RandomPlayArgs& args, void* stream);

}  // namespace keisei::batch
