"""Evaluations of a run that goes on: of a copy of its network, as it stands at one moment."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from keisei.config_schema import AppConfig, ConfigError
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.model_file import CheckpointError, list_checkpoints, load_model
from keisei.evaluation.evaluate import (
    EvaluationResult,
    execute_full_evaluation_run,
    forget_results_after,
)
from keisei.evaluation.ladder import FILE_NAME, Ladder, LadderRow
from keisei.evaluation.network_player import NetworkPlayer
from keisei.evaluation.openings import load_openings
from keisei.evaluation.opponents import Opponent, make_opponents
from keisei.evaluation.players import Player, as_player
from keisei.evaluation.ratings import Rating
from keisei.evaluation.saved_games import forget_evaluation_games, save_evaluation_games
from keisei.utils.generators import kept_generators
from keisei.utils.plugins import PluginError

_log = logging.getLogger(__name__)


def player_name(step: int) -> str:
    """What the run's network after ``step`` plies is called in its ladder and its games."""
    return f"step {step}"


@dataclass(frozen=True)
class _Cast:
    """Who plays one evaluation; made anew for each."""

    network: ActorCriticProtocol
    opponents: dict[str, Player]
    earlier: dict[str, Player]

    def close(self) -> None:
        for player in self.opponents.values():
            player.close()


class RunEvaluator:
    """Evaluates the weights that checkpoints would hold now against the configured opponents.

    The games, ``evaluation.games`` against each opponent, are keyed by the run's seed and the step,
    so an evaluation that is made again has the same result. So that the run's ladder hangs
    together, ``evaluation.earlier`` of its checkpoints that are rated and still there are played
    too: the newest, the strongest, then the next newest.

    In the run's folder it keeps the evaluation log, ``ladder.json`` and some games.

    Args:
        config: Of the run, resolved.
        model: The network that is trained; it is copied, never run.
        weights: Its weights as a checkpoint would hold them.
        log_file: The run's evaluation log; the ladder and the games lie beside it.
        checkpoints: The folder of the run's checkpoints.
        stopping: Called as an evaluation begins; what it returns tells, before each ply, whether
            the run that trained then is to end.

    Raises:
        ConfigError: An opponent cannot be built, or the openings cannot be read.
    """

    def __init__(
        self,
        config: AppConfig,
        model: ActorCriticProtocol,
        weights: Callable[[], Mapping[str, Tensor]],
        log_file: Path,
        checkpoints: Path,
        stopping: Callable[[], Callable[[], bool]],
    ) -> None:
        self._config = config
        self._model = model
        self._weights = weights
        self._log_file = log_file
        self._checkpoints = checkpoints
        self._stopping = stopping
        self._others: dict[str, Callable[[], Opponent]] = {}
        self._ladder: Ladder | None = None
        self._lock = threading.Lock()  # of what the run's folder holds
        try:
            self._openings = load_openings(config.evaluation.openings)
        except ConfigError as error:
            raise ConfigError(f"evaluation.openings: {error}") from error
        self._names: set[str] = set()
        for setting, texts in (
            ("evaluation.opponents", config.evaluation.opponents),
            ("plugins.opponents", config.plugins.opponents),
        ):
            try:
                with kept_generators():
                    self._take_names(make_opponents(texts))
            except (PluginError, CheckpointError) as error:
                raise PluginError(f"{setting}: {error}") from error

    def _take_names(self, names: Mapping[str, object]) -> None:
        for name in names:
            if name in self._names:
                raise PluginError(f"opponents: expected each name once, got {name!r} twice")
            self._names.add(name)

    def add_opponent(self, name: str, make: Callable[[], Opponent]) -> None:
        """One more opponent, made anew for each evaluation; PluginError if it is there already."""
        self._take_names({name: make})
        self._others[name] = make

    def evaluate(self, step: int) -> EvaluationResult:
        """Evaluates here and now; ``step`` is what the result is filed under."""
        return self._run(self._cast(step), step, self._stopping(), in_background=False)

    def prepare(self, step: int) -> Callable[[Callable[[], bool]], EvaluationResult]:
        """Copies the network as it is now; the evaluation itself may then run in another thread.

        What is returned takes a function that says whether to give up. On CUDA it works on a stream
        of its own, behind the copy.
        """
        cast, stopping = self._cast(step), self._stopping()
        device = torch.device(self._config.training.device)
        copied = None
        if device.type == "cuda":
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record(torch.cuda.current_stream(device))

        def run(cancelled: Callable[[], bool]) -> EvaluationResult:
            def stop() -> bool:
                return cancelled() or stopping()

            if copied is None:
                return self._run(cast, step, stop, in_background=True)
            stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            stream.wait_event(copied)
            with torch.cuda.device(device), torch.cuda.stream(stream):
                try:
                    return self._run(cast, step, stop, in_background=True)
                finally:
                    stream.synchronize()  # before the copy's memory is anybody else's

        return run

    def network_now(self) -> ActorCriticProtocol:
        """A copy of the network with the weights of this moment, in eval()."""
        return self._network(self._weights())

    def ladder_rows(self) -> tuple[LadderRow, ...]:
        """The run's ladder, the strongest first; empty before the first evaluation.

        LadderError if its file is none.
        """
        with self._lock:
            return self._loaded_ladder().rows()

    def rating(self, step: int) -> Rating | None:
        """How strong the network proved after ``step`` plies; None if nothing is known of it."""
        with self._lock:
            return self._loaded_ladder().ratings().get(player_name(step))

    def forget_after(self, step: int) -> None:
        """Drops what a run that died found out past the step it goes on from."""
        with self._lock:
            forget_results_after(self._log_file, step)
            forget_evaluation_games(self._log_file.parent, step)
            self._ladder = None
            self._loaded_ladder().forget_after(step)

    def _loaded_ladder(self) -> Ladder:
        if self._ladder is None:
            self._ladder = Ladder(self._log_file.parent / FILE_NAME)
        return self._ladder

    def _network(self, weights: Mapping[str, Tensor]) -> ActorCriticProtocol:
        assert isinstance(self._model, nn.Module)
        network = copy.deepcopy(self._model)
        network.load_state_dict(dict(weights))
        return network.eval().requires_grad_(False)

    def _cast(self, step: int) -> _Cast:
        """Whoever draws from the process's generators while he is built does so here and now."""
        evaluation, device = self._config.evaluation, self._config.training.device
        texts = [*evaluation.opponents, *self._config.plugins.opponents]
        with kept_generators():
            opponents = make_opponents(texts, device=device, greedy=not evaluation.sample)
            opponents |= {name: as_player(make(), name) for name, make in self._others.items()}
        return _Cast(self.network_now(), opponents, self._earlier_selves(step))

    def _earlier_selves(self, step: int) -> dict[str, Player]:
        selves: dict[str, Player] = {}
        wanted = self._config.evaluation.earlier
        for name, directory in self._rated_checkpoints(step) if wanted else ():
            if len(selves) == wanted:
                break
            try:
                network = self._network(load_model(directory).weights)
            except (CheckpointError, RuntimeError) as error:
                _log.warning("%s is not played: %s", name, error)
                continue
            selves[name] = NetworkPlayer(network, greedy=not self._config.evaluation.sample)
        return selves

    def _rated_checkpoints(self, step: int) -> Sequence[tuple[str, Path]]:
        """Those from before ``step`` that the ladder knows, in the order in which they play."""
        with self._lock:
            ratings = self._loaded_ladder().ratings()
        there = [(int(path.name.rpartition("-")[2]), path) for path in self._published()]
        found = [(player_name(own), path) for own, path in reversed(there) if own < step]
        found = [(name, path) for name, path in found if name in ratings]
        strongest = max(found, key=lambda one: ratings[one[0]].elo, default=None)
        if strongest is not None and strongest != found[0]:
            found.remove(strongest)
            found.insert(1, strongest)
        return found

    def _published(self) -> list[Path]:
        return [path for path in list_checkpoints(self._checkpoints) if path.name[5:].isdecimal()]

    def _run(
        self,
        cast: _Cast,
        step: int,
        cancelled: Callable[[], bool],
        *,
        in_background: bool,
    ) -> EvaluationResult:
        training, evaluation = self._config.training, self._config.evaluation
        name = player_name(step)
        try:
            result = execute_full_evaluation_run(
                cast.network,
                opponents=cast.opponents,
                earlier=cast.earlier,
                games=evaluation.games,
                device=training.device,
                greedy=not evaluation.sample,
                seed=training.seed + step,
                max_plies=self._config.env.max_plies,
                openings=self._openings,
                name=name,
                records=evaluation.saved_games,
                step=step,
                log_file=self._log_file,
                cancelled=cancelled,
                in_background=in_background,
            )
        finally:
            cast.close()
        played = (*result.results, *result.earlier)
        with self._lock:
            records = [record for one in played for record in one.result.records]
            save_evaluation_games(self._log_file.parent, step, records)
            ladder = self._loaded_ladder()
            scores = {(name, one.opponent): one.result.score for one in played}
            # An evaluation that is made again plays the same games.
            new = {pair: score for pair, score in scores.items() if pair not in ladder.results}
            ladder.add_all(new, step)
        return result
