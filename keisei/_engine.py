"""Where the native engine lies and how it is started, with torch's libraries in its reach.

The engine finds torch by a path relative to itself, which holds where both lie in one folder of
packages. In an overlay environment, or after ``--user`` and ``--target``, they may not: then the
library path says where torch is.
"""

import os

from keisei import _build
from keisei._libraries import folder
from keisei._torch_check import describe, installed


def command(arguments: list[str]) -> tuple[str, list[str], dict[str, str]]:
    """The program, its arguments and its environment, ready for ``os.execve``.

    Raises:
        FileNotFoundError: The engine was not built, or torch is not installed.
    """
    program = folder() / "bin" / "keisei_play"
    if not program.is_file():
        raise FileNotFoundError(f"{program}: expected the engine, found no such file")
    torch = installed()
    if torch is None:
        raise FileNotFoundError(
            f"keisei_play needs {describe(_build.TORCH_VERSION, _build.TORCH_CUDA)}, and torch is "
            "not installed"
        )
    environment = dict(os.environ)
    # Waiting threads sleep: where another program thinks on the same cores, threads that spin made
    # one evaluation of a small network take 350 ms in place of 1. Read when libgomp is loaded.
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    libraries = torch.folder / "lib"
    beside = folder().parent / "torch" / "lib"
    if not (beside.is_dir() and beside.samefile(libraries)):
        inherited = environment.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = f"{libraries}{f':{inherited}' if inherited else ''}"
    return str(program), ["keisei_play", *arguments], environment
