"""A study's budget: what has been used, what may still be begun, and the stop when it is used up.

The driver and the workers of every node decide by the study's files alone. The setting is in `study.budget`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hadamard.cluster.periodic import Periodic
from hadamard.model.files.causes import Cause
from hadamard.model.trial import Trial
from hadamard.orchestrator.energy.totals import study_j, with_ends
from hadamard.orchestrator.formats import count, duration, joules, listed
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.ledger.notices import noticed
from hadamard.orchestrator.ledger.resource_log import PackUse, RunUse, packs_used, runs_used, save_run
from hadamard.orchestrator.study.budget import NAMES, Budget, Used, passed

CHECK_EVERY_S = 2.0
UNKNOWN_JOULES = "nobody knows how much energy is left, since a meter died, or a run had none"
MOST_SHARE = 0.05
"""Of the time that checks may take: records of joules grow with the hours."""
NOT_ENFORCED = "the budget is not enforced at the moment"
logger = logging.getLogger(__name__)


def used(budget: Budget, study: Path, records: Sequence[TrialRecord]) -> Used:
    """Return what all runs of a study have used until now; joules None where they are not known, or not limited."""
    ended = sum(not record.owed for record in records)
    return _used(runs_used(study), study_j(study) if budget.energy is not None else None, ended)


def allowed(budget: Budget, study: Path, records: Sequence[TrialRecord]) -> list[Trial]:
    """Return those of the owed trials, in their order, that may be begun: none, if anything but `trials` is used up."""
    owed = [record.trial for record in records if record.owed]
    totals = used(budget, study, records)
    if [name for name in passed(budget, totals) if name != "trials"]:
        return []
    return owed if budget.trials is None else owed[: max(0, budget.trials - totals.trials)]


def ended_by(budget: Budget, study: Path, records: Sequence[TrialRecord]) -> str | None:
    """Return in words that the budget keeps the rest of a study from being run, and what to do; None if nothing is owed."""
    owed = sum(record.status in ("owed", "running") for record in records)
    if not owed or not budget.is_set:
        return None
    totals = used(budget, study, records)
    limits = in_words(budget, totals)
    if budget.energy is not None and totals.energy_j is None:
        return f"the budget ends it: {UNKNOWN_JOULES}; {count(owed, 'trial')} owed. Go on without: --set budget.energy=null"
    example = next(iter([*passed(budget, totals), *(name for name in NAMES if getattr(budget, name) is not None)]))
    return f"the budget ends it: {limits}; {count(owed, 'trial')} owed. Go on with more, e.g. --set budget.{example}=..."


def in_words(budget: Budget, totals: Used) -> str:
    """Return what was used of what."""
    return listed(
        [
            f"{name} {'not measured' if amount is None else write(amount)} of {write(limit)}"
            for name, amount, limit, write in _limited(budget, totals.amounts())
        ]
    )


@dataclass(frozen=True)
class Limits:
    """What packs may be begun within.

    Attributes:
        budget: The study's.
        deadline_s: Unix time at which `wall` or `node_hours` will be used up, whichever is first; None where they are not limited.
    """

    budget: Budget
    deadline_s: float | None


def against(budget: Budget, expected: Used) -> str | None:
    """Return in words how a budget compares with what is expected to be used; None where nothing is limited."""
    texts = []
    for name, amount, limit, write in _limited(budget, expected.amounts()):
        enough = "nobody knows whether that is enough" if amount is None else "enough" if amount <= limit else "it stops on the way"
        texts.append(f"{name} {write(limit)}: {enough}")
    return "; ".join(texts) or None


def why_no_room(study: Path, limits: Limits, expected_s: float | None, cores: int) -> str | None:
    """Return why a pack must not be begun now, or None: with the running packs it would pass the budget, as far as that is known.

    Args:
        study: The study's directory.
        limits: Its own.
        expected_s: How long the pack is expected to take; None if not known.
        cores: That it holds.
    """
    if limits.deadline_s is not None and time.time() + (expected_s or 0.0) > limits.deadline_s:
        return Cause.BUDGET
    if limits.budget.energy is None:
        return None
    energy_j = next((run.spent_j for run in reversed(runs_used(study))), None)  # of the driver's last check: records may be long
    if energy_j is None:
        return Cause.BUDGET  # nobody knows what is left
    now, uses = time.time(), packs_used(study)
    core_w = _core_w(with_ends(study, uses), energy_j)
    running_core_s = sum(_left_s(use, now) * _cores(use) for use in _running(uses))
    return Cause.BUDGET if energy_j + core_w * (running_core_s + (expected_s or 0.0) * cores) >= limits.budget.energy else None


def deadline(budget: Budget, totals: Used, nodes: int, now_s: float) -> float | None:
    """Return the Unix time at which a budget of time or of node-hours is used up, whichever is first; None if it has none."""
    left_s = []
    if budget.wall is not None:
        left_s.append(budget.wall - (totals.wall_s or 0.0))
    if budget.node_hours is not None:
        left_s.append(3600 * (budget.node_hours - (totals.node_hours or 0.0)) / nodes)
    return now_s + min(left_s) if left_s else None


class BudgetGuard:
    """Keeps a run's use of time, nodes and energy on record from a thread, and stops the study when its budget is used up."""

    def __init__(self, study: Path, run: int, budget: Budget, nodes: Callable[[], int]) -> None:
        """Begin the run's record; the thread starts when this is entered.

        Args:
            study: The study's directory.
            run: The driver's number.
            budget: The study's.
            nodes: How many nodes there are now.
        """
        now = time.time()
        self._study, self._budget, self._nodes = study, budget, nodes
        self._before = runs_used(study)
        self._use = RunUse(run, now, now, job=os.environ.get("SLURM_JOB_ID"))
        self._stop: Callable[[str], None] = lambda _: None
        self._thread = Periodic("budget", CHECK_EVERY_S, self.check, MOST_SHARE)
        self.note()

    def watch(self, stop: Callable[[str], None]) -> BudgetGuard:
        """Have `stop` called with the cause once the budget is used up, while this is entered."""
        self._stop = stop
        return self

    def __enter__(self) -> BudgetGuard:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._thread.stop(timeout_s=10)
        with noticed(self._study, "budget", "what the run used at its end is not on record"):
            self.note()

    def check(self) -> None:
        """Update the record, and stop the study if its budget is used up."""
        with noticed(self._study, "budget", NOT_ENFORCED):  # as where Ray or a file server is away for a moment
            if names := passed(self._budget, self.note()):
                logger.info("the budget is used up: %s", ", ".join(names))
                self._stop(Cause.BUDGET)

    def note(self) -> Used:
        """Record the run's use until now; return that of all runs, without counting trials, and joules only if they are limited."""
        now = time.time()
        node_s = self._use.node_s + (now - self._use.last_s) * self._nodes()
        energy_j = study_j(self._study) if self._budget.energy is not None else None
        self._use = replace(self._use, last_s=now, node_s=node_s, spent_j=energy_j)
        save_run(self._study, self._use)
        return _used([*self._before, self._use], energy_j, 0)


_WRITE: dict[str, Callable[[float], str]] = {
    "wall": duration,
    "node_hours": lambda hours: f"{hours:.3g}",
    "energy": joules,
    "trials": lambda trials: f"{trials:.0f}",
}


def _used(runs: Sequence[RunUse], energy_j: float | None, trials: int) -> Used:
    return Used(sum(run.wall_s for run in runs), sum(run.node_s for run in runs) / 3600, energy_j, trials)


def _limited(budget: Budget, amounts: Mapping[str, float | None]) -> Iterator[tuple[str, float | None, float, Callable[[float], str]]]:
    """Yield what is limited: its name in words, its amount, its limit, and how such amounts are written."""
    for name, write in _WRITE.items():
        if (limit := getattr(budget, name)) is not None:
            yield name.replace("_", " "), amounts[name], limit, write


def _cores(use: PackUse) -> int:
    return sum(held.cores for held in use.hosts.values())


def _running(uses: Sequence[PackUse]) -> list[PackUse]:
    """Return the launches that still run: of the last run, without an end, and not followed by another one of their pack."""
    last = max((use.run for use in uses), default=0)
    newest = {use.pack: use for use in uses}
    return [use for use in uses if use.end_s is None and use.run == last and newest[use.pack] is use]


def _left_s(use: PackUse, now_s: float) -> float:
    """Return how long a launch is expected to go on."""
    return 0.0 if use.expected_s is None else max(0.0, use.begin_s + use.expected_s - now_s)


def _core_w(ended: Sequence[PackUse], energy_j: float) -> float:
    """Return the joules so far for each second that a core was held."""
    held_s = sum(((use.end_s or use.begin_s) - use.begin_s) * _cores(use) for use in ended)
    return energy_j / held_s if held_s > 0 else 0.0
