// Begins a new game in every slot. Clocks run on, so random play does not repeat itself.
#pragma once

#include "batch/state.h"

namespace keisei::batch {

struct ResetArgs {
    State state;
};

void reset_cpu(const ResetArgs& args, int64_t begin, int64_t end);
void reset_cuda(const ResetArgs& args, void* stream);

}  // namespace keisei::batch
