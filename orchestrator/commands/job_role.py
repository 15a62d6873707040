"""`hadamard role`: whether a Slurm job should lead its study, join the job that leads it, wait, or end.

The claim itself is made by `hadamard run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hadamard.model.errors import UserError
from hadamard.orchestrator.execution.budget_guard import allowed
from hadamard.orchestrator.ledger import claim
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.ledger.owner_record import OwnerRecord
from hadamard.orchestrator.study.expansion import read_plan


def show_role(path: Path, overrides: Sequence[str], directory: Path | None) -> str:
    """Return lines `NAME=VALUE` for the batch script, unquoted: it reads them and evaluates nothing.

    `role` is lead, join, wait, or done (nothing is owed that the budget allows), `directory` the study's, `cluster` the cluster file to
    join, else empty, and `untried` the number of trials that are owed and have not failed.

    Raises:
        UserError: The study cannot be run, or a driver outside Slurm, whose Ray cannot be joined, is running it.
    """
    plan = read_plan(path, overrides)
    ledger = Ledger.of(plan.study, directory)
    records = ledger.records(plan.trials)
    allowed_now = {trial.key for trial in allowed(plan.study.budget, ledger.directory, records)}
    owed = [record for record in records if record.trial.key in allowed_now]
    ledger.check(plan.study, len(owed))
    role, cluster = _role(claim.living(ledger.directory), ledger.directory) if owed else ("done", "")
    untried = str(sum(record.status != "failed" for record in owed))
    values = {"role": role, "directory": str(ledger.directory.absolute()), "cluster": cluster, "untried": untried}
    if any("\n" in value for value in values.values()):
        raise UserError(f"{ledger.directory}: the name of a study's directory must not contain a line break; choose another with --dir")
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _role(owner: OwnerRecord | None, directory: Path) -> tuple[str, str]:
    if owner is None:
        return "lead", ""
    if owner.state == "stopping":
        return "wait", ""
    if owner.cluster is None:
        raise claim.OwnedError(owner, directory)
    return "join", owner.cluster
