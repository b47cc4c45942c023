"""Evaluations of a run that goes on: of a copy of its network, as it stands at one moment."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from keisei.config_schema import AppConfig
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.evaluation.evaluate import (
    EvaluationResult,
    execute_full_evaluation_run,
    forget_results_after,
)
from keisei.evaluation.opponents import RANDOM, Opponent, make_opponents
from keisei.utils.plugins import PluginError


class RunEvaluator:
    """Evaluates the weights that checkpoints would hold now against the configured opponents.

    The games, ``evaluation.games`` against each opponent, are keyed by the run's seed and the step,
    so an evaluation that is made again has the same result.

    Args:
        config: Of the run, resolved.
        model: The network that is trained; it is copied, never run.
        weights: Its weights as a checkpoint would hold them.
        log_file: The run's evaluation log.
        stopping: Called as an evaluation begins; what it returns tells, before each ply, whether
            the run that trained then is to end.

    Raises:
        PluginError: An opponent cannot be built.
    """

    def __init__(
        self,
        config: AppConfig,
        model: ActorCriticProtocol,
        weights: Callable[[], Mapping[str, Tensor]],
        log_file: Path,
        stopping: Callable[[], Callable[[], bool]],
    ) -> None:
        self._config = config
        self._model = model
        self._weights = weights
        self._log_file = log_file
        self._stopping = stopping
        self._names = (RANDOM, *config.plugins.opponents)
        self._others: dict[str, Callable[[], Opponent]] = {}
        try:
            make_opponents(self._names)
        except PluginError as error:
            raise PluginError(f"plugins.opponents: {error}") from error

    def add_opponent(self, name: str, make: Callable[[], Opponent]) -> None:
        """One more opponent, made anew for each evaluation; PluginError if it is there already."""
        if name in {*self._names, *self._others}:
            raise PluginError(f"opponents: expected each name once, got {name!r} twice")
        self._others[name] = make

    def evaluate(self, step: int) -> EvaluationResult:
        """Evaluates here and now; ``step`` is what the result is filed under."""
        return self._run(self.network_now(), step, self._stopping(), in_background=False)

    def prepare(self, step: int) -> Callable[[Callable[[], bool]], EvaluationResult]:
        """Copies the network as it is now; the evaluation itself may then run in another thread.

        What is returned takes a function that says whether to give up. On CUDA it works on a stream
        of its own, behind the copy.
        """
        network, stopping = self.network_now(), self._stopping()
        device = torch.device(self._config.training.device)
        copied = None
        if device.type == "cuda":
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record(torch.cuda.current_stream(device))

        def run(cancelled: Callable[[], bool]) -> EvaluationResult:
            def stop() -> bool:
                return cancelled() or stopping()

            if copied is None:
                return self._run(network, step, stop, in_background=True)
            stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            stream.wait_event(copied)
            with torch.cuda.device(device), torch.cuda.stream(stream):
                try:
                    return self._run(network, step, stop, in_background=True)
                finally:
                    stream.synchronize()  # before the copy's memory is anybody else's

        return run

    def network_now(self) -> ActorCriticProtocol:
        """A copy of the network with the weights of this moment, in eval()."""
        assert isinstance(self._model, nn.Module)
        network = copy.deepcopy(self._model)
        network.load_state_dict(dict(self._weights()))
        return network.eval().requires_grad_(False)

    def forget_after(self, step: int) -> None:
        """Drops from the log what a run that died wrote past the step it goes on from."""
        forget_results_after(self._log_file, step)

    def _run(
        self,
        network: ActorCriticProtocol,
        step: int,
        cancelled: Callable[[], bool],
        *,
        in_background: bool,
    ) -> EvaluationResult:
        training = self._config.training
        return execute_full_evaluation_run(
            network,
            opponents=make_opponents(self._names)
            | {name: make() for name, make in self._others.items()},
            games=self._config.evaluation.games,
            device=training.device,
            seed=training.seed + step,
            max_plies=self._config.env.max_plies,
            step=step,
            log_file=self._log_file,
            cancelled=cancelled,
            in_background=in_background,
        )
