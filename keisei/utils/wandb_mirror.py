"""Weights & Biases as a mirror: whatever fails there is said, and training goes on."""

from __future__ import annotations

import logging
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keisei.config_schema import AppConfig
from keisei.utils.masking import mask_secrets

_log = logging.getLogger(__name__)

# Seconds that the service has to answer when a run starts.
_START_TIMEOUT = 30.0


class WandbMirror:
    """Sends figures to a Weights & Biases run, if ``logging.wandb_enabled`` says so.

    No package, no key, no network, or a service that dies: the first failure is logged and switches
    the mirror off for good. Nothing is ever raised, and nothing is asked on the terminal. Without a
    key ``WANDB_MODE=offline`` still writes a local copy; ``WANDB_MODE=disabled`` leaves it off.
    """

    def __init__(self, config: AppConfig, run_dir: Path) -> None:
        self._run: Any = None
        if not config.logging.wandb_enabled or os.environ.get("WANDB_MODE") == "disabled":
            return
        try:
            self._run = _start(config, run_dir)
        except Exception as error:
            self._fail("could not be started", error)

    @property
    def active(self) -> bool:
        """Whether figures are being sent."""
        return self._run is not None

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Sends values at a step; steps may not go back."""
        if self._run is None:
            return
        try:
            self._run.log(dict(values), step=step)
        except Exception as error:
            self._fail("is lost", error)

    def close(self) -> None:
        """Ends the run there; a second call does nothing."""
        run, self._run = self._run, None
        if run is None:
            return
        try:
            run.finish()
        except Exception as error:
            self._fail("did not finish", error)

    def _fail(self, what: str, error: Exception) -> None:
        self._run = None
        text = mask_secrets(str(error)) or type(error).__name__
        _log.warning("Weights & Biases %s: %s; training goes on without it", what, text)


def _has_key() -> bool:
    """Whether Weights & Biases would find a key without asking for one."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = os.environ.get("NETRC")
    for file in [Path(path)] if path else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if netrc.netrc(file).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _start(config: AppConfig, run_dir: Path) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise RuntimeError(
            "the package wandb is not installed (pip install 'keisei[wandb]')"
        ) from error
    if os.environ.get("WANDB_MODE", "online") == "online" and not _has_key():
        raise RuntimeError(
            "no API key; set WANDB_API_KEY, log in with `wandb login`, or set WANDB_MODE=offline"
        )
    return wandb.init(
        project=config.logging.wandb_project,
        name=run_dir.name,
        dir=str(run_dir),
        config=config.model_dump(mode="json"),
        settings=wandb.Settings(init_timeout=_START_TIMEOUT, silent=True),
    )
