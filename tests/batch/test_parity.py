"""CPU and CUDA do the same: integers and planes to the bit, floats within stated bounds."""

from __future__ import annotations

import pytest
import torch

from keisei import Position, ops
from keisei.envs import ShogiVectorEnv

pytestmark = pytest.mark.gpu

GAMES = 100_000
MAX_PLIES = 120
STEPS = 150
# Sums of at most 2,187 float32 terms in another order, exp and log of another library.
SAMPLE_BOUND = 2e-5
# With few games CUDA joins stretches of time that were summed up apart.
GAE_BOUND = 4e-6

# Half of the games begin in the middle, where mates, declarations and repetitions are near.
SFENS = [
    Position().sfen(),
    "l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w RGgsn5p 1",
    Position().sfen(),
    "k8/9/9/9/9/9/9/9/8K b - 1",
    Position().sfen(),
    "+R+R+B+BKGGSS/PP7/9/9/9/9/9/9/4k4 w 2P 1",
    Position().sfen(),
    "4k4/9/4P4/9/9/9/9/9/4K4 b 2G2S 1",
]


def make(device: str, games: int = GAMES, **options: int) -> ShogiVectorEnv:
    env = ShogiVectorEnv(games, device, max_plies=MAX_PLIES, seed=20, **options)
    env.reset(SFENS)
    return env


def assert_same(cpu: torch.Tensor, cuda: torch.Tensor, what: str) -> None:
    assert cpu.dtype == cuda.dtype, what
    moved = cpu.cuda()
    if not torch.equal(moved, cuda):
        differ = (moved != cuda).nonzero()
        pytest.fail(f"{what}: {len(differ)} elements differ, the first at {differ[0].tolist()}")


def test_100000_random_games() -> None:
    cpu, cuda = make("cpu"), make("cuda")
    endings = torch.zeros(6, dtype=torch.int64)
    for step in range(STEPS):
        actions = cpu.sample_uniform()
        assert_same(actions, cuda.sample_uniform(), f"step {step}: uniform_sample")
        out, on_cuda = cpu.step(actions), cuda.step(actions.cuda())
        for name in out._fields:
            assert_same(getattr(out, name), getattr(on_cuda, name), f"step {step}: {name}")
        endings += torch.bincount(out.ending, minlength=6)
        if step % 10 == 0 or step == STEPS - 1:
            state = cuda.state_dict()
            for name, tensor in cpu.state_dict().items():
                assert_same(tensor, state[name].cuda(), f"step {step}: {name}")
            assert_same(ops.legal_mask(cpu.positions), cuda.mask, f"step {step}: legal_mask")
            assert_same(cpu.mask, ops.legal_mask(cuda.positions), f"step {step}: legal_mask")
    assert (endings > 0)[[0, 1, 2, 3, 5]].all(), f"the games met too few endings: {endings}"


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8],
    ids=str,
)
def test_planes_and_unpacked_masks(dtype: torch.dtype, channels_last: bool) -> None:
    chunk = 5000
    env = make("cpu", games=20_003)  # the last chunk has an odd size
    for _ in range(70):
        env.step(env.sample_uniform())
    rows = env.positions.contiguous()
    for part in rows.split(chunk):
        mine = ops.planes(part, dtype, channels_last)
        for given in (part.cuda(), part.cuda().t().contiguous().t()):
            theirs = ops.planes(given, dtype, channels_last)
            assert theirs.stride() == mine.stride()
            assert_same(mine, theirs, "planes")
            if channels_last:
                padded = ops.planes(given, dtype, channels_last, padded=True)
                assert_same(ops.planes(part, dtype, True, padded=True), padded, "padded planes")
    for part in env.mask.split(chunk):
        assert_same(ops.unpack_mask(part), ops.unpack_mask(part.cuda()), "unpack_mask")


@pytest.mark.parametrize("scale", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_masked_sample(dtype: torch.dtype, scale: float) -> None:
    games = 20_000
    env = make("cpu", games)
    for _ in range(50):
        env.step(env.sample_uniform())
    logits = scale * torch.randn(games, ops.LABELS, generator=torch.Generator().manual_seed(2))
    logits = logits.to(dtype)
    for greedy in (False, True):
        arguments = (env.mask, env.clock)
        mine = ops.masked_sample(logits, *arguments, 5, 2**33, greedy)
        theirs = ops.masked_sample(logits.cuda(), *(t.cuda() for t in arguments), 5, 2**33, greedy)
        assert_same(mine[0], theirs[0], "action")
        for a, b in zip(mine[1:], theirs[1:], strict=True):
            torch.testing.assert_close(a, b.cpu(), atol=SAMPLE_BOUND, rtol=SAMPLE_BOUND)


@pytest.mark.parametrize("form", ["zero_sum", "single", "own_plies"])
def test_gae(form: ops.GaeForm) -> None:
    steps = 64
    env = make("cpu", games=10_000)
    values = 2 * torch.rand(steps + 1, 10_000, generator=torch.Generator().manual_seed(3)) - 1
    outs, turns = [], []
    for _ in range(60):
        env.step(env.sample_uniform())
    for _ in range(steps):
        turns.append(env.turn.clone())
        outs.append(env.step(env.sample_uniform()))
    rewards = torch.stack([out.reward for out in outs])
    ending = torch.stack([out.ending for out in outs])
    valid = torch.stack([out.valid for out in outs])
    own = torch.stack(turns) == 0 if form == "own_plies" else None
    assert not valid.all()
    mine = ops.gae(values, rewards, ending, valid, 0.99, 0.95, form, own)
    theirs = ops.gae(
        *(t.cuda() for t in (values, rewards, ending, valid)),
        0.99,
        0.95,
        form,
        None if own is None else own.cuda(),
    )
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b.cpu(), atol=GAE_BOUND, rtol=GAE_BOUND)


# Few and many games, in fours and not; a rollout of one row, and longer than a block sees at once.
@pytest.mark.parametrize(
    ("steps", "games"),
    [
        (1, 1),
        (7, 3),
        (1000, 9),
        (64, 4096),
        (129, 2051),
        (700, 2048),
        (67, 8200),
        (5, 65536),
        (13, 65537),
        (19, 131072),
    ],
)
@pytest.mark.parametrize("form", ["zero_sum", "single", "own_plies"])
def test_gae_of_any_shape(form: ops.GaeForm, steps: int, games: int) -> None:
    generator = torch.Generator().manual_seed(steps)

    def draw() -> torch.Tensor:
        return torch.rand(steps, games, generator=generator)

    values = 2 * torch.rand(steps + 1, games, generator=generator) - 1
    ending = (6 * draw()).byte() * (draw() < 0.05)
    rewards = torch.where(ending > 0, (3 * draw()).floor() - 1, 0.0)
    valid = draw() < 0.98
    own = draw() < 0.5 if form == "own_plies" else None
    mine = ops.gae(values, rewards, ending, valid, 0.99, 0.95, form, own)
    theirs = ops.gae(
        *(t.cuda() for t in (values, rewards, ending, valid)),
        0.99,
        0.95,
        form,
        None if own is None else own.cuda(),
    )
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b.cpu(), atol=GAE_BOUND, rtol=GAE_BOUND)


@pytest.mark.parametrize("games", [131072, 65536, 4096])
def test_gae_of_tensors_that_begin_anywhere(games: int) -> None:
    steps = 6
    values = torch.rand(1 + (steps + 1) * games, device="cuda")[1:].view(steps + 1, games)
    rewards = torch.rand(1 + steps * games, device="cuda")[1:].view(steps, games)
    ending = torch.zeros(3 + steps * games, dtype=torch.uint8, device="cuda")[3:].view(steps, games)
    valid = torch.ones(1 + steps * games, dtype=torch.bool, device="cuda")[1:].view(steps, games)
    shifted = (values, rewards, ending, valid)
    for a, b in zip(ops.gae(*shifted), ops.gae(*(t.clone() for t in shifted)), strict=True):
        torch.testing.assert_close(a, b, atol=GAE_BOUND, rtol=GAE_BOUND)


def test_a_state_moves_between_devices() -> None:
    cpu, cuda = make("cpu", 500), make("cuda", 500)
    for _ in range(40):
        cpu.step(cpu.sample_uniform())
    cuda.load_state_dict(cpu.state_dict())
    for _ in range(40):
        actions = cpu.sample_uniform()
        assert_same(actions, cuda.sample_uniform(), "actions")
        cpu.step(actions)
        cuda.step(actions.cuda())
    assert_same(cpu.positions, cuda.positions, "positions")


def test_ops_run_on_the_current_stream() -> None:
    env = make("cuda", 1000)
    fresh = ops.legal_mask(env.positions)
    late = torch.zeros_like(fresh)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(200_000_000)  # what follows on this stream waits; others would not
        late.copy_(fresh)
        action = ops.uniform_sample(late, env.clock, 3)
        legal = ops.unpack_mask(late)
    stream.synchronize()
    assert torch.equal(action, ops.uniform_sample(fresh, env.clock, 3))
    assert torch.equal(legal, ops.unpack_mask(fresh))
    assert (action >= 0).all()


def test_ops_run_on_the_device_of_their_tensors() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    first, second = make("cuda:0", 1000), make("cuda:1", 1000)
    with torch.cuda.device(0):
        for _ in range(30):
            actions = first.sample_uniform()
            assert torch.equal(actions, second.sample_uniform().to("cuda:0"))
            first.step(actions)
            second.step(actions.to("cuda:1"))
        assert second.planes().device == torch.device("cuda:1")
    assert torch.equal(first.positions, second.positions.to("cuda:0"))


def test_mirrored_rows() -> None:
    env = make("cpu", games=20_003)
    for _ in range(70):
        env.step(env.sample_uniform())
    actions = env.sample_uniform()
    flip = torch.rand(20_003, generator=torch.Generator().manual_seed(1)) < 0.5
    for rows in (env.positions, env.positions.contiguous()):
        cpu = ops.mirror(rows, actions, flip)
        # The word-major view stays one on its way.
        there = rows.t().cuda().t() if not rows.is_contiguous() else rows.cuda()
        cuda = ops.mirror(there, actions.cuda(), flip.cuda())
        assert_same(cpu[0], cuda[0], "mirror: positions")
        assert_same(cpu[1], cuda[1], "mirror: actions")
