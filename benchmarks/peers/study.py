"""Trials per hour of a study on this machine, ours and the ordinary way."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.peers.ordinary import DEVICE, Rates, measure
from hadamard.cluster.allocation import Allocation, detect
from hadamard.model.errors import SettingsError, UserError
from hadamard.model.heads.quantum.settings import Noise, QuantumHead
from hadamard.model.trial import Trial
from hadamard.orchestrator.execution.driver import embed
from hadamard.orchestrator.formats import count, duration
from hadamard.orchestrator.planning.cost_estimate import estimate_run
from hadamard.orchestrator.planning.machine_rates import known_rates
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.study.expansion import Plan, read_plan
from hadamard.orchestrator.study.inputs import inputs_of
from hadamard.orchestrator.timing.machine import Machine, this_machine

BASELINES_OFF = "baselines=[]"


@dataclass(frozen=True)
class Way:
    """One way of doing the study.

    Attributes:
        name: In words.
        trials_per_hour: Of the whole study.
        how: What was measured and what was scaled.
    """

    name: str
    trials_per_hour: float
    how: str


@dataclass(frozen=True)
class StudyComparison:
    """Both ways, and how many times more trials per hour ours does."""

    study: str
    trials: int
    ours: Way
    ordinary: Way
    machine: Machine

    @property
    def ratio(self) -> float:
        """Our trials per hour over the ordinary way's."""
        return self.ours.trials_per_hour / self.ordinary.trials_per_hour


def bench_study(path: Path, overrides: Sequence[str], budget_s: float, as_json: bool) -> str:
    """Measure both ways for about `budget_s` seconds each; return the comparison as text or JSON.

    Raises:
        UserError: The study is not valid, or has rows that the ordinary way here cannot train.
    """
    overrides = [*overrides, BASELINES_OFF]
    plan = read_plan(path, overrides)
    _check(plan)
    allocation = detect()
    embed(plan.trials, allocation, Console(stderr=True, highlight=False, markup=False))
    with tempfile.TemporaryDirectory(prefix="hadamard-bench-") as name:
        ours = _ours(plan, path, overrides, budget_s, allocation, Path(name))
        ordinary = _ordinary(plan, budget_s, allocation, Path(name))
    comparison = StudyComparison(plan.study.study, len(plan.trials), ours, ordinary, this_machine())
    return _as_json(comparison) if as_json else _as_text(comparison)


def scaled_seconds(trial: Trial, rates: Rates) -> float:
    """Return a trial's seconds by rates of its shape: its epochs' steps, and the validation after each, then all sentences once."""
    train, validation = trial.settings.data.set_sizes
    training = trial.settings.training
    evaluated = training.epochs * validation + len(inputs_of(trial.settings).corpus.texts)
    return training.epochs * math.ceil(train / training.batch) * rates.step_s + evaluated * rates.row_s


def _check(plan: Plan) -> None:
    for trial in plan.trials:
        head = trial.settings.head
        if not isinstance(head, QuantumHead):
            raise SettingsError(f"{trial.arm} is a {head.kind} head, which takes no simulator; bench a study whose rows are quantum heads")
        if head.noise != Noise():
            raise SettingsError(f"{trial.arm} has noise or shots, which {DEVICE} does not do by the adjoint method; leave head.noise out")
        if head.reduction == "projection":
            raise SettingsError(f"{trial.arm} has head.reduction = projection, whose gradient {DEVICE} does not give; use pca or truncate")
        if head.encoder != "circuit" or not head.second_module or head.reuploads == 0:
            raise SettingsError(f"{trial.arm} lacks a part of the paper's head, which is all that the ordinary way has; bench a whole one")


def _ours(plan: Plan, path: Path, overrides: Sequence[str], budget_s: float, allocation: Allocation, directory: Path) -> Way:
    """Run `hadamard run` on as many of the study's splits as fit the budget, one at least."""
    splits = _splits_in(plan, budget_s, allocation)
    options = [word for override in (*overrides, f"design.splits={splits}") for word in ("--set", override)]
    command = [sys.executable, "-m", "hadamard", "run", str(path), "--no-dashboard", "--dir", str(directory / "ours"), *options]
    apart = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}  # no bench in anybody's records
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=apart)
    wall_s = time.perf_counter() - begin
    if done.returncode:
        raise UserError(f"hadamard run ended with exit code {done.returncode}: {(done.stderr or done.stdout)[-2000:].strip()}")
    trials = len(plan.trials) * splits // plan.study.design.splits
    how = (
        f"measured: `hadamard run` from start to report, {count(trials, 'trial')} ({splits} of {count(plan.study.design.splits, 'split')}) "
        f"in {duration(wall_s)}; scaled: {'nothing' if splits == plan.study.design.splits else 'the other splits, at the same rate'}"
    )
    return Way("hadamard run", trials / wall_s * 3600, how)


def _splits_in(plan: Plan, budget_s: float, allocation: Allocation) -> int:
    rates = known_rates()
    for splits in range(plan.study.design.splits, 1, -1):
        trials = [trial for trial in plan.trials if trial.split < splits]
        expected = estimate_run(pack_up(trials, allocation, rates), allocation, rates).wall_s
        if expected is not None and expected <= budget_s:
            return splits
    return 1


def _ordinary(plan: Plan, budget_s: float, allocation: Allocation, directory: Path) -> Way:
    """Measure steps of one trial of each shape, and scale them to all trials, spread evenly over the cores."""
    shapes = {trial.shape: trial for trial in reversed(plan.trials)}
    each_s = budget_s * allocation.cpus / len(shapes)
    rates = dict(zip(shapes, measure(list(shapes.values()), each_s, allocation, directory), strict=True))
    seconds = sum(scaled_seconds(trial, rates[trial.shape]) for trial in plan.trials) / allocation.cpus
    steps, rows = (sum(getattr(rate, what) for rate in rates.values()) for what in ("steps", "rows"))
    how = (
        f"measured: {count(steps, 'training step')} and {count(rows, 'evaluated sentence')} over one trial of each of "
        f"{count(len(shapes), 'shape')}, {count(allocation.cpus, 'trial')} at a time; scaled: to all epochs, evaluations and trials "
        f"({duration(seconds)} in all); left out in its favour: starts of processes, uneven load of the cores, reports"
    )
    return Way(f"Ray Tune and {DEVICE}", len(plan.trials) / seconds * 3600, how)


def _as_json(comparison: StudyComparison) -> str:
    return json.dumps({**asdict(comparison), "machine": comparison.machine.model_dump(), "ratio": comparison.ratio}, indent=1) + "\n"


def _as_text(comparison: StudyComparison) -> str:
    where = f"{comparison.machine.processor}, {count(comparison.machine.cores, 'core')}"
    lines = [f"{comparison.study}: {count(comparison.trials, 'trial')} without its baselines, on {where}; embeddings computed before", ""]
    for way in (comparison.ours, comparison.ordinary):
        lines += [f"{way.name:<28}{way.trials_per_hour:>12,.1f} trials per hour", f"  {way.how}"]
    return "\n".join([*lines, "", f"ours does {comparison.ratio:,.0f} times as many", ""])
