"""The rates of this machine: seconds of one core for each kind of work, and the corrections that runs on it have taught.

Corrections are kept in a file of the cache, one for each machine. `feedback.py` measures them; `cost_model.py` and `cost_estimate.py` turn
rates into the seconds of trials and runs.
"""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hadamard.cluster.energy.base import Method
from hadamard.cluster.energy.choice import requested_method
from hadamard.model.errors import UserError
from hadamard.model.files.atomic import locked, open_lock, write_atomically
from hadamard.model.representation.embeddings import cache_directory
from hadamard.model.simulators.base import Positive, Rate
from hadamard.model.simulators.registry import SIMULATORS

DEFAULT_ORIGIN = "rates measured on one 2.3 GHz server core"
RUNS_USED = 5
"""A part is corrected by the median of this many runs, the last ones that had it: one run on a busy machine does not move it."""
RUNS_KEPT = 20
START, PACK_START, END, FITTED, DENSE, UNFROZEN = "start", "pack start", "end", "closed form", "dense", "unfrozen"
"""Parts of a run's time. `closed form` and `dense` are heads without a circuit, `unfrozen` heads trained with their sentence encoder. The
other parts are `embeddings`, and simulators by name."""


class RatesError(UserError):
    """The file of a machine's corrections cannot be used."""


def default_rates() -> dict[str, Rate]:
    """Return the default rates of simulators; those whose time is not planned by one have none."""
    return {name: kind.rate for name, kind in SIMULATORS.items() if kind.rate}


@dataclass(frozen=True)
class Rates:
    """Seconds of one core with one thread, by default those of one core of a 2.3 GHz server.

    Attributes:
        simulators: By name.
        step_s: A step without its circuits: batch, linear layer, loss and optimiser, in torch's small operations; paid once by a pack.
        row_s: A sentence of a batch or an evaluation: its embedding of 384 dimensions is gathered and reduced.
        parameter_s: A step of the optimiser for each parameter of each trial.
        trial_epoch_s: An epoch's order, scores and journal line, for each trial.
        components_s: Principal components of 435 embeddings of 384 dimensions, which heads that read such fit to each training side.
        closed_form_s: Fit of a head that is fitted in one go, on some hundred sentences.
        closed_form_row_s: Its evaluation of a sentence.
        pack_start_s: From launch to first epoch, and from the last to the end: interpreter, torch, scikit-learn, corpus, files.
        embedding_start_s: The process that computes embeddings, without these.
        characters_per_core_s: Of sentences that all-MiniLM-L6-v2 embeds per second; a larger encoder takes longer, all-mpnet six times.
        tuned_per_core_s: Sentences per second and core in a training step of all-MiniLM-L6-v2, in bfloat16 on a core that multiplies it.
        run_start_s: From the command to the first pack, without embeddings: imports, the plan, Ray.
        run_end_s: From the last pack to the end, without what each trial adds: the report, and MLflow's start.
        trial_end_s: Tracking and reporting of each trial.
        core_w: Watts of a busy core, its share of what is around it included; None: not measured.
        gpu_w: Likewise of a GPU.
        watts_by: How these watts were measured.
        factors: By part of a run, what its time is multiplied by, learned from runs on this machine.
        origin: Where all this is from, in words.
    """

    simulators: Mapping[str, Rate] = field(default_factory=default_rates)
    step_s: Positive = 220e-6
    row_s: Positive = 1.5e-6
    parameter_s: Positive = 6e-9
    trial_epoch_s: Positive = 0.5e-3
    components_s: Positive = 0.03
    closed_form_s: Positive = 0.03
    closed_form_row_s: Positive = 25e-6
    pack_start_s: Positive = 6.0
    embedding_start_s: Positive = 6.0
    characters_per_core_s: Positive = 11_000.0
    tuned_per_core_s: Positive = 40.0
    run_start_s: Positive = 10.0
    run_end_s: Positive = 7.0
    trial_end_s: Positive = 0.05
    core_w: Positive | None = None
    gpu_w: Positive | None = None
    watts_by: Method = "counter"
    factors: Mapping[str, Positive] = field(default_factory=dict)
    origin: str = DEFAULT_ORIGIN

    def corrected(self, part: str, seconds: float) -> float:
        """Return the seconds of a part of a run as earlier runs correct them."""
        return seconds * self.factors.get(part, 1.0)


DEFAULTS = Rates()


@dataclass(frozen=True)
class Machine:
    """A machine, for its corrections: machines that agree in this are taken to be alike."""

    processor: str
    cores: int


@dataclass(frozen=True)
class Observation:
    """One run on a machine, compared with the default rates.

    Attributes:
        when: The time of its end, UTC.
        study: Its name.
        factors: By part, the seconds that it took divided by those that the default rates give.
        core_w: Watts of each of its busy cores; None if not measured.
        gpu_w: Likewise of GPUs.
        watts_by: How watts are measured there.
    """

    when: str
    study: str
    factors: Mapping[str, Positive]
    core_w: Positive | None = None
    gpu_w: Positive | None = None
    watts_by: Method = "counter"


def observe(study: str, factors: Mapping[str, float], core_w: float | None, gpu_w: float | None) -> Observation:
    """Return the observation of a run that ends now, by the method by which joules are measured here."""
    return Observation(datetime.now(UTC).isoformat(timespec="seconds"), study, factors, core_w, gpu_w, requested_method())


@dataclass(frozen=True)
class RatesFile:
    """The file of one machine: what `hadamard calibrate` observed, and what the last runs did."""

    calibration: Observation | None = None
    runs: tuple[Observation, ...] = ()


_CONTENT = TypeAdapter(RatesFile)


def this_machine() -> Machine:
    """Return this machine; its cores are counted whatever part of them may be used."""
    return Machine(processor(), os.cpu_count() or 1)


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown processor"


def rates_file(machine: Machine) -> Path:
    """Return the path of a machine's file."""
    digest = hashlib.sha256(f"{machine.processor} {machine.cores}".encode()).hexdigest()[:12]
    return cache_directory() / "machine_rates" / f"{digest}.json"


def known_rates() -> Rates:
    """Return the rates of this machine: the default ones, corrected by its calibration and its last runs.

    A file that cannot be read corrects nothing, and `origin` says so: rates decide no result, and no study waits for them.
    """
    method = requested_method()
    try:
        return corrected_rates(_read(rates_file(this_machine())), method)
    except RatesError as error:
        return replace(DEFAULTS, watts_by=method, origin=f"{DEFAULT_ORIGIN} ({error})")


def corrected_rates(file: RatesFile, watts_by: Method = "counter") -> Rates:
    """Return the default rates with the corrections of a file; watts that were measured in another way than `watts_by` are not used."""
    observations = [file.calibration, *file.runs] if file.calibration else file.runs
    metered = [run for run in observations if run.watts_by == watts_by]
    parts = sorted({part for run in observations for part in run.factors})
    factors = {part: _median(run.factors.get(part) for run in observations) for part in parts}
    return replace(
        DEFAULTS,
        factors={part: factor for part, factor in factors.items() if factor is not None},
        core_w=_median(run.core_w for run in metered),
        gpu_w=_median(run.gpu_w for run in metered),
        watts_by=watts_by,
        origin=_origin(file),
    )


def save_calibration(observation: Observation) -> Path:
    """Keep a calibration of this machine, which forgets what was known before; return the file."""
    return _change(lambda _: RatesFile(observation))


def learn(observation: Observation) -> Path:
    """Keep what a run on this machine taught; return the file.

    Raises:
        RatesError: The file is damaged, or cannot be written.
    """

    def with_run(path: Path) -> RatesFile:
        file = _read(path)
        return replace(file, runs=(*file.runs, observation)[-RUNS_KEPT:])

    return _change(with_run)


def _change(content: Callable[[Path], RatesFile]) -> Path:
    """Write this machine's file anew, one process at a time."""
    path = rates_file(this_machine())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_lock(path.with_suffix(".lock")) as lock:
            locked(lock, wait=True)
            write_atomically(path, _CONTENT.dump_json(content(path), indent=1))
    except OSError as error:
        raise RatesError(f"{path} cannot be written: {error.strerror}. Set HADAMARD_CACHE to another directory") from error
    return path


def _read(path: Path) -> RatesFile:
    try:
        return _CONTENT.validate_json(path.read_bytes())
    except FileNotFoundError:
        return RatesFile()
    except OSError as error:
        raise RatesError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        fix = "Delete it, or measure anew by `hadamard calibrate`"
        raise RatesError(f"{path}: damaged rates: {where}: {first['msg']}. {fix}") from error


def _median(values: Iterable[float | None]) -> float | None:
    """Return the median of the last values that are known."""
    known = [value for value in values if value is not None][-RUNS_USED:]
    return statistics.median(known) if known else None


def _origin(file: RatesFile) -> str:
    base = DEFAULT_ORIGIN if file.calibration is None else f"rates calibrated on this machine on {file.calibration.when[:10]}"
    runs = len(file.runs)
    return f"{base}, corrected by {runs} run{'s' if runs > 1 else ''}" if runs else base
