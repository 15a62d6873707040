"""`hadamard calibrate`: run a small study here, compare it with its plan by the default rates, and keep the corrections for later plans."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hadamard.cluster.allocation import Allocation, detect
from hadamard.cluster.energy.choice import why_not_measured
from hadamard.cluster.launch import environment
from hadamard.model.errors import UserError
from hadamard.model.representation import embeddings
from hadamard.orchestrator.formats import duration
from hadamard.orchestrator.planning import feedback
from hadamard.orchestrator.planning.feedback import Comparison
from hadamard.orchestrator.planning.machine_rates import DEFAULTS, PACK_START, Observation, save_calibration, this_machine
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


def calibrate(work_s: float, as_json: bool) -> str:
    """Measure this machine and keep its corrections; return them as text or JSON.

    Args:
        work_s: About how long every core is kept at work.
        as_json: Whether JSON is wanted.

    Raises:
        UserError: The cache cannot be written, or the study that is run here fails.
    """
    embeddings.check_cache()
    began, load = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="hadamard-calibrate-") as scratch:
        comparison = _run_study(Path(scratch), work_s, detect())
    if comparison.line(feedback.WHOLE).took_s is None:
        raise UserError("the study that is run for the measurement was interrupted; give the command again")
    observation = feedback.observation("calibration", comparison, DEFAULTS)
    file, took_s = save_calibration(observation), time.monotonic() - began
    if as_json:
        machine = asdict(this_machine())
        return json.dumps({"file": str(file), "machine": machine, "took_s": took_s, "load": load, **asdict(observation)}, indent=1) + "\n"
    return _as_text(comparison, observation, file, took_s) + _warning(load)


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


def _as_text(comparison: Comparison, observation: Observation, file: Path, took_s: float) -> str:
    buffer, machine = io.StringIO(), this_machine()
    console = Console(file=buffer, width=120, highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("part of a run", "by default rates", "here", "ratio"):
        table.add_column(heading, justify="left" if heading == "part of a run" else "right", no_wrap=True)
    for row in feedback.table_rows(comparison):
        table.add_row(*row)
    console.print(f"{machine.processor}, {machine.cores} cores; measured in {duration(took_s)}", soft_wrap=True)
    console.print(table)
    if observation.core_w is None:
        console.print(f"watts are not known: {why_not_measured() or 'the meter could not be read all the time'}", soft_wrap=True)
    else:
        console.print(f"a busy core takes {observation.core_w:.3g} W ({observation.watts_by})", soft_wrap=True)
    console.print(f"kept in {file}; plans use it from now on", soft_wrap=True)
    return buffer.getvalue()


def _warning(load: float) -> str:
    """Return a warning where others were at work before anything was measured."""
    if load < BUSY * this_machine().cores:
        return ""
    return f"{load:.1f} processes were at work here before: what was measured holds for a machine as busy; measure again when it is quiet\n"
