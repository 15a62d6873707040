"""`hadamard calibrate`: measures this machine by running real things, keeps the rates, and shows them beside those that come with it.

Owns what is run and what is shown. Does not own the steps (steps.py), what a run's parts took (lessons.py), nor where rates are kept.
"""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from hadamard.cluster.allocation import Allocation, detect
from hadamard.cluster.energy.choice import method_asked_for, open_meter, why_not_measured
from hadamard.cluster.launch import environment
from hadamard.model.data.grammar import write
from hadamard.model.errors import UserError
from hadamard.model.representation import embeddings
from hadamard.orchestrator.formats import duration
from hadamard.orchestrator.ledger.resource_log import EMBEDDINGS
from hadamard.orchestrator.planning import feedback
from hadamard.orchestrator.planning.feedback import Comparison
from hadamard.orchestrator.planning.machine_rates import DEFAULTS, END, PACK_START, START, Rates, calibrated, rates_file, this_machine
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.study.expansion import read_plan

SENTENCES, DIFFICULTY, REVIEWS_SEED = 400, 0.5, 2026
STUDY = f"""\
study: calibration
seed: 1
data: {{name: reviews, sentences: {SENTENCES}, difficulty: {DIFFICULTY}, train_per_class: 64}}
head: {{kind: quantum, qubits: 6, reduction: pca, encoder_layers: 1, reuploads: 1, layers: 1}}
training: {{epochs: 3, batch: 16, lr: 0.02}}
factors:
  head.qubits: [4, 8]
  training.lr: [0.01, 0.05]
design: {{kind: full_factorial, splits: 2}}
baselines: [logistic, svc]
"""
ARMS = 6
BUSY = 0.5
"""Part of the cores that others may be using."""
METERED_S = 15.0
"""Of work on every core where there is a meter: more than the shortest window in which meters say much."""


def calibrate(steps_s: float, as_json: bool) -> str:
    """Measure this machine and keep its rates; return them as text or JSON.

    Raises:
        UserError: The cache cannot be written, or what is run here to be measured fails.
    """
    embeddings.check_cache()
    allocation, began, busy = detect(), time.monotonic(), os.getloadavg()[0]
    rates = TypeAdapter(Rates).validate_python(_measured_steps(steps_s))
    with tempfile.TemporaryDirectory(prefix="hadamard-calibrate-") as scratch:
        comparison, trials = _run_study(Path(scratch), rates, allocation)
    rates = with_run(rates, comparison, trials, allocation.cpus)
    took_s = time.monotonic() - began
    file = calibrated(rates, took_s)
    if as_json:
        return (
            json.dumps(
                {"file": str(file), "machine": asdict(this_machine()), "took_s": took_s, "load": busy, "rates": asdict(rates)}, indent=1
            )
            + "\n"
        )
    return _as_text(rates, took_s) + _warning(busy)


def with_run(rates: Rates, comparison: Comparison, trials: int, cpus: int) -> Rates:
    """Return rates with what a run took around its steps.

    Args:
        rates: Of steps.
        comparison: The run, of which all packs could be compared.
        trials: That it trained.
        cpus: Cores that it had.
    """

    def took_s(part: str) -> float:
        seconds = comparison.line(part).took_s
        if seconds is None:
            raise UserError("the run that was to be measured was not done at once; give the command again")
        return seconds

    characters = sum(len(text) for text, _ in write(SENTENCES, DIFFICULTY, REVIEWS_SEED))
    return replace(
        rates,
        pack_start_s=took_s(PACK_START) / comparison.packs,
        embedding_start_s=max(1.0, took_s(EMBEDDINGS) - characters / (rates.characters_per_core_s * cpus)),
        run_start_s=took_s(START),
        run_end_s=max(1.0, took_s(END) - trials * rates.trial_end_s),
        core_w=comparison.core_w,
        watts_by=method_asked_for(),
    )


def _measured_steps(steps_s: float) -> dict[str, Any]:
    """Return what one core takes, measured with one thread and no GPU, as packs on cores have it."""
    found: dict[str, Any] = json.loads(
        _output([sys.executable, "-m", "hadamard.orchestrator.planning.calibration", str(steps_s)], environment(1, 0))
    )
    return found


def _run_study(scratch: Path, rates: Rates, allocation: Allocation) -> tuple[Comparison, int]:
    """Run a small study from the command to its report, with a cache of its own; return what it took, and its trials."""
    study = scratch / "study.yaml"
    study.write_text(STUDY)
    settings = [f"design.splits={max(2, math.ceil(2 * allocation.cpus / ARMS))}"]
    if open_meter() is not None:
        settings.append(f"training.epochs={_epochs(study, settings, rates, allocation)}")
    trials = len(read_plan(study, settings).trials)
    own = {**environment(allocation.cpus, 0), "HADAMARD_CACHE": str(scratch / "cache")}
    options = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "hadamard", "run", str(study), "--no-dashboard", "--dir", str(scratch / "run"), *options]
    _output(command, {name: value for name, value in own.items() if name != "MLFLOW_TRACKING_URI"})
    return feedback.comparisons(scratch / "run")[-1], trials


def _epochs(study: Path, settings: Sequence[str], rates: Rates, allocation: Allocation) -> int:
    """Return how many epochs keep every core at work for long enough to be metered."""
    probe = 100
    packs = pack_up(read_plan(study, [*settings, f"training.epochs={probe}"]).trials, allocation, rates)
    work_s = sum(seconds for pack in packs for part, seconds in pack.parts.items() if part != PACK_START)
    return math.ceil(probe * METERED_S * allocation.cpus / work_s)


def _output(command: Sequence[str], variables: dict[str, str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=os.getcwd())
    if done.returncode:
        raise UserError(f"what was to be measured failed (exit code {done.returncode}): {(done.stderr or done.stdout)[-2000:].strip()}")
    return done.stdout


def _as_text(rates: Rates, took_s: float) -> str:
    buffer, machine = io.StringIO(), this_machine()
    console = Console(file=buffer, width=120, highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("rate", "as it comes", "measured here"):
        table.add_column(heading, justify="left" if heading == "rate" else "right", no_wrap=True)
    for name, before, now in _rows(rates):
        table.add_row(name, before, now)
    console.print(f"{machine.processor}, {machine.cores} cores; measured in {duration(took_s)}", soft_wrap=True)
    console.print(table)
    if rates.core_w is None:
        console.print(f"watts are not known: {why_not_measured() or 'the meter could not be read all the time'}", soft_wrap=True)
    console.print(f"kept in {rates_file(machine)}; plans use them from now on", soft_wrap=True)
    return buffer.getvalue()


def _warning(busy: float) -> str:
    """Return what is to be said where others were at work before anything was measured, which the clock's seconds hold."""
    if busy < BUSY * this_machine().cores:
        return ""
    return f"beforehand {busy:.1f} processes were at work here: what starts and ends take came out longer; measure again when it is quiet\n"


def _rows(rates: Rates) -> list[tuple[str, str, str]]:
    """Return name and value of each rate, as it comes and as measured."""
    rows = [
        (f"{name} {part}", f"{getattr(DEFAULTS.simulators[name], part):.3g}", f"{getattr(rate, part):.3g}")
        for name, rate in rates.simulators.items()
        for part in ("gate_s", "amplitude_s")
    ]
    for name, value in asdict(rates).items():
        before = getattr(DEFAULTS, name)
        if isinstance(value, float) and value != before:
            rows.append((name, "-" if before is None else f"{before:.3g}", f"{value:.3g}"))
    return rows
