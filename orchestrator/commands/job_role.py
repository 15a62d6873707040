"""`hadamard role`: what a Slurm job that was given a study should do: lead it, join the job that leads it, wait, or nothing.

Owns that decision and its form for the batch script. Does not own the claim itself: that is made by `hadamard run`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from hadamard.orchestrator.execution.budget_guard import allowed
from hadamard.orchestrator.ledger import claim
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import read_plan


def show_role(path: Path, overrides: Sequence[str], directory: Path | None) -> str:
    """Return shell assignments: role (lead, join, wait, or done: nothing is owed that the budget allows), directory, cluster, untried.

    `cluster` is the one to join, else empty; `untried` counts what is owed and has not failed.

    Raises:
        UserError: The study cannot be run, or a driver outside Slurm, whose Ray cannot be joined, is running it.
    """
    plan = read_plan(path, overrides)
    ledger = Ledger(directory or Path("runs") / plan.study.study)
    records = ledger.records(plan.trials)
    allowed_now = {trial.key for trial in allowed(plan.study.budget, ledger.directory, records)}
    owed = [record for record in records if record.trial.key in allowed_now]
    ledger.check(plan.study, len(owed))
    role, cluster = _role(claim.living(ledger.directory), ledger.directory) if owed else ("done", "")
    untried = str(sum(record.status != "failed" for record in owed))
    words = {"role": role, "directory": str(ledger.directory.absolute()), "cluster": cluster, "untried": untried}
    return "".join(f"{name}={shlex.quote(word)}\n" for name, word in words.items())


def _role(owner: claim.OwnerRecord | None, directory: Path) -> tuple[str, str]:
    if owner is None:
        return "lead", ""
    if owner.state == "stopping":
        return "wait", ""
    if owner.cluster is None:
        raise claim.OwnedError(owner, directory)
    return "join", owner.cluster
