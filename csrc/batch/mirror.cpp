#include "batch/mirror.h"

namespace keisei::batch {

KEISEI_FLAT void mirror_cpu(const MirrorArgs& args, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) mirror_row(args, row);
}

}  // namespace keisei::batch
