"""docs/trainer.md: every name of the trainer's specification, and the tests that exercise it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from keisei.training.data_structures import COMPONENT_DEPENDENCIES

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "trainer.md").read_text()
NEXT = "next"

# What the specification names; a row for each.
NAMED = """
    `keisei/training/trainer.py` | `Trainer` | `CompatibilityMixin` | `config` | `args` | `device`
    `model` | `agent` | `experience_buffer` | `step_manager` | `game` | `policy_output_mapper`
    `action_space_size` | `obs_space_shape` | `session_manager` | `display_manager`
    `model_manager` | `env_manager` | `metrics_manager` | `callback_manager` | `setup_manager`
    `training_loop_manager` | `run_name` | `run_artifact_dir` | `model_dir` | `log_file_path`
    `eval_log_file_path` | `is_train_wandb_active` | `logger` | `rich_console`
    `rich_log_messages` | `log_both` | `execute_full_evaluation_run` | `resumed_from_checkpoint`
    `__init__` | `_initialize_components` | `_initialize_game_state` | `_perform_ppo_update`
    `_log_run_info` | `_finalize_training` | `run_training_loop` | `_handle_checkpoint_resume`
    `EpisodeState` | `TrainerState` | `ComponentDependencies` | `SessionManager`
    `DisplayManager` | `ModelManager` | `EnvManager` | `MetricsManager` | `CallbackManager`
    `SetupManager` | `StepManager` | `TrainingLoopManager` | `metrics_manager.get_current_stats()`
    `metrics_manager.global_timestep` | `model_manager.save_checkpoint()`
    `session_manager.finalize_session()` | facade pattern | manager pattern | delegation pattern
    template method | separation of concerns | dependency injection | error isolation
    resource management | session lifecycle | `test_trainer_initialization`
    `test_component_initialization` | `test_training_finalization` | end-to-end training
    manager integration | error recovery | checkpoint resume | lazy initialization
    parallel setup | resource pooling | manager delegation | memory management
    logging efficiency | component performance | resource usage | training progress
    input validation | resource limits | path security | artifact handling
    external integration | error information | initialization errors | training errors
    manager failures | resource errors | external service errors | training configuration (YAML)
    `WANDB_API_KEY` | `CUDA_VISIBLE_DEVICES` | `KEISEI_LOG_LEVEL` | async manager pattern
    plugin architecture | distributed training | auto-scaling | `EnhancedTrainer`
    `PluginManager` | `register_custom_manager` | `enable_distributed_training`
    real-time metrics dashboard | advanced visualization | automated alerting
    performance profiling | basic training | training with custom configuration
    training with checkpoint resume | manual component access | `KeyboardInterrupt` in the loop
"""


def rows() -> list[tuple[str, str, str]]:
    found = []
    for table in re.findall(r"^\| name \| here \| tests \|\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.M):
        for line in table.splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            assert len(cells) == 3, f"expected three cells, got {line}"
            found.append((cells[0], cells[1], cells[2]))
    return found


ROWS = rows()


@cache
def functions_of(file: str) -> set[str]:
    """The test functions in a file below tests/."""
    path = TESTS / file
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_no_cell_of_a_table_is_empty() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    assert len(lines) > len(ROWS)
    empty = [line for line in lines if "" in (cell.strip() for cell in line[1:-1].split("|"))]
    assert not empty, "docs/trainer.md has empty cells:\n" + "\n".join(empty)


@pytest.mark.parametrize(("name", "tests"), [(name, tests) for name, _, tests in ROWS])
def test_every_row_names_tests_that_are_there(name: str, tests: str) -> None:
    assert name, f"a row without a name: {tests}"
    assert tests, f"{name}: no test is named"
    if tests == NEXT:
        return
    for test in tests.split(", "):
        file, _, function = test.partition("::")
        assert function in functions_of(file), f"{name}: there is no test {test}"


def test_every_name_has_a_row() -> None:
    named = {name.strip() for line in NAMED.splitlines() for name in line.split("|")} - {""}
    missing = named - {name for name, _, _ in ROWS}
    assert not missing, f"docs/trainer.md has no row for {sorted(missing)}"


def test_the_managers_are_made_from_what_the_page_says() -> None:
    for manager, expected in COMPONENT_DEPENDENCIES.items():
        name = "".join(part.capitalize() for part in manager.split("_"))
        (cell,) = re.findall(rf"^\| `{name}` \| ([^|]*) \| [^|]* \|$", PAGE, re.M)[:1]
        words = [] if cell == "nothing" else cell.strip("`").split(", ")
        assert words == expected, name
