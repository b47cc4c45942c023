#include "batch/gae.h"

namespace keisei::batch {
namespace {

template <GaeForm kForm>
void gae_of_game(const GaeArgs& args, int64_t game) {
    GaeRow next = GaeRow::bootstrap(args.values[args.steps * args.games + game]);
    GaeRow after = next;
    float passed = 0.0f;
    for (int64_t t = args.steps - 1; t >= 0; --t) {
        const int64_t at = t * args.games + game;
        const bool valid = args.valid[at] != 0;
        const bool learnt = valid && (kForm != GaeForm::own_plies || args.own[at] != 0);
        const GaeRow row{args.values[at], args.rewards[at], args.ending[at], true, valid, learnt};
        passed = gae_step<kForm>(args.gamma, args.lambda, row, next, after).pass(passed);
        args.advantages[at] = learnt ? passed : 0.0f;
        args.returns[at] = learnt ? passed + row.value : 0.0f;
        after = next;
        next = row;
    }
}

}  // namespace

void gae_cpu(const GaeArgs& args, int64_t begin, int64_t end) {
    for (int64_t game = begin; game < end; ++game) {
        switch (args.form) {
            case GaeForm::zero_sum:
                gae_of_game<GaeForm::zero_sum>(args, game);
                break;
            case GaeForm::single:
                gae_of_game<GaeForm::single>(args, game);
                break;
            case GaeForm::own_plies:
                gae_of_game<GaeForm::own_plies>(args, game);
                break;
        }
    }
}

}  // namespace keisei::batch
