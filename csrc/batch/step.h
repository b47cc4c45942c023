// Applies one action to every game, finds every end of a game, rewards, resets what ended.
#pragma once

#include "batch/state.h"

namespace keisei::batch {

constexpr int64_t kNoError = INT64_MAX;

// What the error cell holds of an action that is not legal: the smaller game index wins. Labels
// outside of 16 bits are kept as -1, which is as illegal as they are.
KEISEI_HD int64_t error_code(int64_t game, int64_t label) {
    const int64_t kept = label >= -32768 && label <= 32767 ? label : -1;
    return (game << 16) | (kept & 0xffff);
}
KEISEI_HD int64_t error_game(int64_t code) {
    return code >> 16;
}
KEISEI_HD int error_label(int64_t code) {
    return static_cast<int16_t>(code & 0xffff);
}

struct StepArgs {
    State state;
    const int64_t* actions;  // [games]
    float* reward;           // [games], for the player who moved
    uint8_t* ending;         // [games], shogi::Ending
    bool* valid;             // [games], false: nothing was played in this row
    int32_t* length;         // [games], plies of a game that ended in this row, else 0
    int64_t* error;          // [1], smallest error code so far
};

// The smallest error code among the actions, kNoError if all are legal; games that only reset in
// this step have no action to check. The CUDA form uses the error cell as scratch, leaves kNoError
// in it and waits for the stream.
int64_t first_illegal_cpu(const StepArgs& args);
int64_t first_illegal_cuda(const StepArgs& args, void* stream);

// A game whose action is not legal does not move; its code is folded into the error cell.
// The CPU form returns the smallest code of its range and leaves the error cell to the caller.
int64_t step_cpu(const StepArgs& args, int64_t begin, int64_t end);
void step_cuda(const StepArgs& args, void* stream);

}  // namespace keisei::batch
