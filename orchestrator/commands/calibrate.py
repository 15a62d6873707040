"""`hadamard calibrate`: run a small study here, compare it with its plan by the default rates, and keep the corrections for later plans."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from hadamard.cluster.allocation import Allocation, detect
from hadamard.cluster.energy.choice import why_not_measured
from hadamard.cluster.launch import environment
from hadamard.model.errors import UserError
from hadamard.model.representation import embeddings
from hadamard.orchestrator.commands.render import Result, render, table
from hadamard.orchestrator.formats import duration
from hadamard.orchestrator.planning import feedback
from hadamard.orchestrator.planning.feedback import Comparison
from hadamard.orchestrator.planning.machine_rates import DEFAULTS, PACK_START, Machine, save_calibration, this_machine
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.study.expansion import read_plan

STUDY = """\
study: calibration
seed: 1
data: {name: reviews, sentences: 1000, train_per_class: 128}
head: {kind: quantum, qubits: 8, reduction: pca, encoder_layers: 2, reuploads: 1, layers: 2}
training: {epochs: 100, batch: 16, lr: 0.02}
factors:
  head.qubits: [6, 10]
  training.lr: [0.01, 0.05]
design: {kind: full_factorial, splits: 2}
baselines: [logistic, svc, {kind: mlp, hidden: 48}]
"""
ARMS = 7
BUSY = 0.5
"""Part of the cores that others may be using."""


class CalibrateResult(Result):
    """The corrections of this machine, and the run that they come from."""

    file: str
    """Where they are kept."""
    machine: Machine
    took_s: float
    load: float
    """Processes that were at work here before."""
    comparison: Comparison
    """The run beside its plan by the default rates, part by part."""
    when: str
    """The time of its end, UTC."""
    study: str
    factors: Mapping[str, float]
    """By part, the seconds that it took divided by those that the default rates give."""
    core_w: float | None
    """Watts of each busy core; None if not measured."""
    gpu_w: float | None
    watts_by: str


def show_calibration(work_s: float, as_json: bool) -> str:
    """Measure this machine and keep its corrections; return them as text or JSON.

    Args:
        work_s: About how long every core is kept at work.
        as_json: Whether JSON is wanted.

    Raises:
        UserError: The cache cannot be written, or the study that is run here fails.
    """
    return render(calibrated(work_s), _lines, as_json)


def calibrated(work_s: float) -> CalibrateResult:
    """Measure this machine and keep its corrections; see `show_calibration`."""
    embeddings.check_cache()
    began, load = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="hadamard-calibrate-") as scratch:
        comparison = _run_study(Path(scratch), work_s, detect())
    if comparison.line(feedback.WHOLE).took_s is None:
        raise UserError("the study that is run for the measurement was interrupted; give the command again")
    observation = feedback.observation("calibration", comparison, DEFAULTS)
    return CalibrateResult(
        file=str(save_calibration(observation)),
        machine=this_machine(),
        took_s=time.monotonic() - began,
        load=load,
        comparison=comparison,
        **asdict(observation),
    )


def _run_study(scratch: Path, work_s: float, allocation: Allocation) -> Comparison:
    """Run the study from the command to its report, with a cache of its own, so that nothing is in it and no corrections are known."""
    study, cache = scratch / "study.yaml", scratch / "cache"
    study.write_text(STUDY)
    splits = f"design.splits={max(2, math.ceil(2 * allocation.cpus / ARMS))}"
    settings = [splits, f"training.epochs={_epochs(study, splits, work_s, allocation)}"]
    options = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "hadamard", "run", str(study), "--no-dashboard", "--dir", str(scratch / "run"), *options]
    variables = {**environment(allocation.cpus, 0), "HADAMARD_CACHE": str(cache)}
    _run(command, {name: value for name, value in variables.items() if name != "MLFLOW_TRACKING_URI"})
    return feedback.comparisons(scratch / "run")[-1]


def _epochs(study: Path, splits: str, work_s: float, allocation: Allocation) -> int:
    """Return how many epochs keep every core at work for about so long, by the default rates."""
    plan = read_plan(study, [splits])
    packs = pack_up(plan.trials, allocation)
    core_s = sum(seconds for pack in packs for part, seconds in pack.parts.items() if part != PACK_START)
    return math.ceil(plan.study.training.epochs * work_s * allocation.cpus / core_s)


def _run(command: Sequence[str], variables: Mapping[str, str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=os.getcwd())
    if done.returncode:
        said = (done.stderr or done.stdout)[-2000:].strip()
        raise UserError(f"the study that is run for the measurement failed (exit code {done.returncode}): {said}")


def _lines(result: CalibrateResult) -> Iterator[str]:
    yield f"{result.machine.processor}, {result.machine.cores} cores; measured in {duration(result.took_s)}"
    yield from table(("part of a run", "by default rates", "here", "ratio"), feedback.table_rows(result.comparison), texts=1)
    if result.core_w is None:
        yield f"watts are not known: {why_not_measured() or 'the meter could not be read all the time'}"
    else:
        yield f"a busy core takes {result.core_w:.3g} W ({result.watts_by})"
    yield f"kept in {result.file}; plans use it from now on"
    if result.load >= BUSY * result.machine.cores:
        busy = f"{result.load:.1f} processes were at work here before"
        yield f"{busy}: what was measured holds for a machine as busy; measure again when it is quiet"
