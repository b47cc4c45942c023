"""The process that speaks to Weights & Biases, so that nothing there is part of training.

It is run as a script and imports nothing of keisei. Lines of JSON come in: one ``start``, then
``log`` and ``alert``; the end of the input ends the run there. What went wrong goes out as one
line of JSON, ``{"failed": WHERE, "why": TEXT}``, and so does ``{"finished": true, "taken": N}``
with the number of ``log`` lines once all of them were taken.
"""

from __future__ import annotations

import json
import os
from typing import Any, TextIO

# Nothing of the machine is sent but what keisei sends: no console output, arguments, address of a
# git remote or environment, all of which may hold secrets; and the service measures nothing.
QUIET = {
    "console": "off",
    "silent": True,
    "disable_code": True,
    "disable_git": True,
    "save_code": False,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
}


def _start(wandb: Any, given: dict[str, Any]) -> Any:
    settings = wandb.Settings(init_timeout=given["timeout"], **QUIET)
    return wandb.init(
        project=given["project"],
        name=given["name"],
        id=given["id"],
        resume="allow",
        dir=given["dir"],
        config=given["config"],
        settings=settings,
    )


def serve(lines: TextIO, say: TextIO) -> None:
    """Does what ``lines`` say, up to their end or the first failure."""
    where = "could not be started"
    run: Any = None
    taken = 0
    try:
        import wandb

        for line in lines:
            message = json.loads(line)
            if "start" in message:
                run = _start(wandb, message["start"])
                where = "is lost"
            elif "log" in message:
                run.log(message["log"], step=message["step"])
                taken += 1
            elif "alert" in message:
                title, text = message["alert"]
                run.alert(title=title, text=text, level="WARN")
        where = "did not finish"
        if run is not None:
            run.finish()
    except BaseException as error:  # SystemExit too: whatever it is, it is told and this ends
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        say.write(json.dumps({"failed": where, "why": text}) + "\n")
        say.flush()
    else:
        say.write(json.dumps({"finished": True, "taken": taken}) + "\n")
        say.flush()


def _ours(number: int) -> int:
    """A descriptor that no process started here inherits; under its number stands nothing."""
    kept = os.dup(number)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, number)
    os.close(nothing)
    return kept


if __name__ == "__main__":
    with (
        os.fdopen(_ours(0), "r", encoding="utf-8") as lines,
        os.fdopen(_ours(1), "w", encoding="utf-8") as say,
    ):
        serve(lines, say)
