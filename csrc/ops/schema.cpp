// The ops torch sees, torch.ops.keisei.*: names, arguments, and what each may change. An op never
// returns what it mutates. keisei/ops.py says what the arguments mean.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(keisei, m) {
    m.def(
        "reset(Tensor(a!) positions, Tensor(b!) progress, Tensor(c!) history, "
        "Tensor(d!) buckets, Tensor starts, Tensor(e!) mask, int first_game) -> ()");
    m.def(
        "step(Tensor(a!) positions, Tensor(b!) progress, Tensor(c!) history, Tensor(d!) buckets, "
        "Tensor starts, Tensor(e!) mask, Tensor actions, Tensor(f!) reward, Tensor(g!) ending, "
        "Tensor(h!) valid, Tensor(i!) length, Tensor(j!) error, int first_game, int max_plies, "
        "bool check) -> ()");
    m.def(
        "random_play(Tensor(a!) positions, Tensor(b!) progress, Tensor(c!) history, "
        "Tensor(d!) buckets, Tensor starts, Tensor(e!) mask, int plies, int seed, "
        "int first_game) -> Tensor");
    m.def("legal_mask(Tensor positions) -> Tensor");
    m.def("unpack_mask(Tensor mask) -> Tensor");
    m.def(
        "planes(Tensor positions, ScalarType dtype, bool channels_last, bool padded=False) -> "
        "Tensor");
    m.def(
        "mirror(Tensor positions, Tensor actions, Tensor flip) -> (Tensor mirrored_positions, "
        "Tensor mirrored_actions)");
    m.def("perft(Tensor positions, int depth) -> Tensor");
    m.def("uniform_sample(Tensor mask, Tensor clock, int seed, int first_game) -> Tensor");
    m.def(
        "masked_sample(Tensor logits, Tensor mask, Tensor clock, int seed, int first_game, "
        "bool greedy) -> (Tensor action, Tensor log_prob, Tensor entropy)");
    m.def(
        "gae(Tensor values, Tensor rewards, Tensor ending, Tensor valid, float gamma, float lam, "
        "str form, Tensor? own) -> (Tensor advantages, Tensor returns)");
    m.def(
        "ppo_loss(Tensor logits, Tensor values, Tensor mask, Tensor actions, Tensor log_probs, "
        "Tensor old_values, Tensor advantages, Tensor returns, Tensor valid, float clip_range, "
        "float? value_clip, float value_coefficient, Tensor entropy_coefficient) -> (Tensor total, "
        "Tensor metrics, Tensor stats)");
    m.def(
        "ppo_loss_backward(Tensor gradient, Tensor logits, Tensor mask, Tensor actions, "
        "Tensor valid, Tensor metrics, Tensor stats, Tensor entropy_coefficient) -> "
        "(Tensor logits_gradient, Tensor values_gradient)");
}
