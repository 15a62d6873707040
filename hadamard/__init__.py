"""Designed experiments on hybrid quantum-classical text classifiers, from a laptop to a Slurm cluster.

The public Python API: what is in `__all__` here. Everything else may change between releases.

    import hadamard

    plan = hadamard.plan("quickstart", ["design.splits=5"])   # a packaged study by its name, or the path of a study file
    plan.design.rows, len(plan.trials)
    table = hadamard.results("runs/quickstart")               # what is done so far, a line per arm and split
    table.groupby("arm")["test_accuracy"].mean()
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

from hadamard.model.errors import UserError

if TYPE_CHECKING:  # the functions import what they need when they are called: `import hadamard` loads no library
    import pandas as pd

    from hadamard.orchestrator.study.expansion import Plan

    __version__: str

__all__ = ["UserError", "__version__", "packaged_studies", "plan", "results"]


def packaged_studies() -> list[str]:
    """Return the names of the studies that are installed with Hadamard, such as `quickstart`."""
    from hadamard.orchestrator.study.packaged import packaged_studies

    return [*packaged_studies()]


def plan(study: str | PathLike[str], overrides: Sequence[str] = ()) -> Plan:
    """Read a study and make its design and trials. Runs nothing.

    Args:
        study: Path of a study file, or the name of a packaged study.
        overrides: Changed settings, such as `training.epochs=5`.

    Returns:
        The study with all its settings (`plan.study`), its design (`plan.design.rows`, `plan.design.factors`) and its trials
        (`plan.trials`), each with its key, arm, split and settings.

    Raises:
        UserError: The study is not valid, or its corpus or sentence encoder is not there; the message has a line per problem.
    """
    from pathlib import Path

    from hadamard.orchestrator.study.expansion import read_plan

    return read_plan(Path(study), overrides)


def results(directory: str | PathLike[str]) -> pd.DataFrame:
    """Return the results of a study so far: the table that its report writes to `results.csv`.

    Args:
        directory: The study's directory, such as `runs/quickstart`.

    Returns:
        A line per arm and split, sorted by `key`: `arm`, `row`, `split`, `candidate`, `status`, `cause`, the responses
        (`test_accuracy`, ...; missing until the trial is done), `parameters`, and a column for each factor by its path.

    Raises:
        UserError: The directory is not that of a study.
    """
    from pathlib import Path

    from hadamard.orchestrator.ledger.reopen import reopen
    from hadamard.orchestrator.results.tables import results_table

    ledger, study = reopen(Path(directory))
    return results_table(study, ledger.records(study.trials))


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # takes longer than all else that `import hadamard` does

        return version("hadamard")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
