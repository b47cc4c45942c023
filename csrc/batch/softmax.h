// The sums that a softmax over the legal labels and its entropy come from.
#pragma once

#include <cmath>

#include "shogi/platform.h"

namespace keisei::batch {

namespace detail {

// The same functions for float and double, on host and device.
KEISEI_HD float exp_of(float x) {
    return expf(x);
}
KEISEI_HD double exp_of(double x) {
    return exp(x);
}
KEISEI_HD float log_of(float x) {
    return logf(x);
}
KEISEI_HD double log_of(double x) {
    return log(x);
}

}  // namespace detail

// Sums over the legal logits of a row, below their maximum.
template <typename Real>
struct LegalSums {
    Real max;
    Real sum;       // of exp(logit - max)
    Real weighted;  // of (logit - max) exp(logit - max)

    KEISEI_HD void add(Real logit) {
        const Real below = logit - max;
        const Real share = detail::exp_of(below);
        sum += share;
        // A share of 0 comes with a logit of minus infinity, and 0 times that is not a number.
        weighted += share == 0 ? 0 : below * share;
    }

    // Makes `new_max`, at least the present one, what the sums are below.
    KEISEI_HD void rise_to(Real new_max) {
        if (sum != 0 && max < new_max) {
            const Real shift = max - new_max;
            const Real scale = detail::exp_of(shift);
            weighted = scale == 0 ? 0 : (weighted + sum * shift) * scale;
            sum *= scale;
        }
        max = new_max;
    }

    KEISEI_HD Real log_sum() const { return detail::log_of(sum); }
    KEISEI_HD Real entropy() const { return log_sum() - weighted / sum; }
};

}  // namespace keisei::batch
