"""How fast this machine is: the rates that plans are made from, as measured here or as they come, corrected by what earlier runs took.

Owns the numbers and the file in the cache that keeps each machine's. Does not own how they are measured (calibration/), what is planned
from them (estimates.py, price.py), nor what a run teaches (lessons.py).
"""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hadamard.cluster.energy.choice import method_asked_for
from hadamard.cluster.energy.meters import Method
from hadamard.model.errors import UserError
from hadamard.model.files.atomic import locked, write_atomically
from hadamard.model.representation.embeddings import cache_directory
from hadamard.model.simulators.base import Positive, Rate
from hadamard.model.simulators.registry import SIMULATORS

NOT_OURS = "rates measured on one 2.3 GHz server core"
LESSONS_USED = 5
"""Of each part the last so many; their median is not moved by one run on a busy machine."""
LESSONS_KEPT = 20
MOST_CORRECTED = 5.0
"""More than that is not believed of one run: the machine did something else besides."""
START, PACK_START, END, FITTED, DENSE, UNFROZEN = "start", "pack start", "end", "closed form", "dense", "unfrozen"
"""Parts of a run's time, the last three of which are heads without a circuit and those trained with their sentence encoder; the others are
simulators by name, and `embeddings`."""


class RatesError(UserError):
    """The file of rates cannot be used."""


def default_rates() -> dict[str, Rate]:
    """Return the rates of simulators before this machine was measured; those whose time is not planned by one have none."""
    return {name: kind.rate for name, kind in SIMULATORS.items() if kind.rate}


@dataclass(frozen=True)
class Rates:
    """What one core takes, one thread each; as they come, those of one core of a 2.3 GHz server.

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
        embedding_start_s: The process that computes embeddings, but for these.
        characters_per_core_s: Of sentences that all-MiniLM-L6-v2 embeds per second; a larger encoder takes longer, all-mpnet six times.
        tuned_per_core_s: Sentences per second and core in a training step of all-MiniLM-L6-v2, in bfloat16 on a core that multiplies it.
        run_start_s: From the command to the first pack, but for embeddings: imports, the plan, Ray.
        run_end_s: From the last pack to the end, but for what is of each trial: the report, and MLflow's start.
        trial_end_s: Of each trial, which is shipped and reported.
        core_w: Watts of a busy core, its share of what is around it included; None: not measured.
        gpu_w: Likewise of a GPU.
        watts_by: How these watts were come by.
        factors: By part of a run, what its time is multiplied by: learned from earlier runs.
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
    origin: str = NOT_OURS

    def corrected(self, part: str, seconds: float) -> float:
        """Return the seconds of a part of a run as earlier runs correct them."""
        return seconds * self.factors.get(part, 1.0)


DEFAULTS = Rates()


@dataclass(frozen=True)
class Machine:
    """What rates hold for: machines alike in this are taken to be alike."""

    processor: str
    cores: int


@dataclass(frozen=True)
class Calibration:
    """Rates that were measured on a machine."""

    when: str
    """The time, UTC."""
    took_s: float
    rates: Rates


@dataclass(frozen=True)
class Observation:
    """What one run taught: what to multiply the time of each of its parts by, and the watts that it was seen to take."""

    when: str
    study: str
    factors: Mapping[str, Positive]
    core_w: Positive | None = None
    gpu_w: Positive | None = None
    watts_by: Method = "counter"


@dataclass(frozen=True)
class RatesFile:
    """The file of one machine."""

    machine: Machine
    calibration: Calibration | None = None
    lessons: tuple[Observation, ...] = ()


_KEPT = TypeAdapter(RatesFile)


def this_machine() -> Machine:
    """Return what this machine's rates are kept by; its cores are counted whatever part of them may be used."""
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
    """Return where a machine's rates are kept."""
    digest = hashlib.sha256(f"{machine.processor} {machine.cores}".encode()).hexdigest()[:12]
    return cache_directory() / "rates" / f"{digest}.json"


def known_rates() -> Rates:
    """Return the rates of this machine: calibrated if they were, as they come if not, with what its last runs taught.

    Those of a file that cannot be read are as they come, and say so: rates decide no result, and no study waits for them.
    """
    try:
        return effective(_read(rates_file(this_machine()), this_machine()), method_asked_for())
    except RatesError as error:
        return replace(DEFAULTS, watts_by=method_asked_for(), origin=f"{NOT_OURS} ({error})")


def effective(kept: RatesFile, watts_by: Method = "counter") -> Rates:
    """Return a machine's rates with what its last runs taught; a calibration has a say like a run's, lest one bad hour decides.

    Watts that were come by in another way than `watts_by` are not known.
    """
    base = kept.calibration.rates if kept.calibration else DEFAULTS
    said_first = [1.0] if kept.calibration else []
    parts = {part for lesson in kept.lessons for part in lesson.factors}
    factors = {part: _median([*said_first, *(lesson.factors.get(part) for lesson in kept.lessons)]) for part in sorted(parts)}
    alike = [lesson for lesson in kept.lessons if lesson.watts_by == watts_by]
    if base.watts_by != watts_by:
        base = replace(base, core_w=None, gpu_w=None)
    return replace(
        base,
        factors={part: factor for part, factor in factors.items() if factor is not None},
        core_w=_median([base.core_w, *(lesson.core_w for lesson in alike)]),
        gpu_w=_median([base.gpu_w, *(lesson.gpu_w for lesson in alike)]),
        watts_by=watts_by,
        origin=_origin(kept),
    )


def calibrated(rates: Rates, took_s: float) -> Path:
    """Keep rates that were measured on this machine; what runs taught about those of before is forgotten. Returns the file."""
    return _change(lambda kept: RatesFile(kept.machine, Calibration(_now(), took_s, rates)), forgive=True)


def learn(study: str, factors: Mapping[str, float], core_w: float | None, gpu_w: float | None) -> None:
    """Keep what a run on this machine taught.

    Args:
        study: Its name.
        factors: By part, what its time as of `Rates` without factors is to be multiplied by.
        core_w: Watts of each of its busy cores; None if not measured.
        gpu_w: Likewise of GPUs.

    Raises:
        RatesError: The file is damaged, or cannot be written.
    """
    believed = {part: min(MOST_CORRECTED, max(1 / MOST_CORRECTED, factor)) for part, factor in factors.items()}
    lesson = Observation(_now(), study, believed, core_w, gpu_w, method_asked_for())
    _change(lambda kept: replace(kept, lessons=(*kept.lessons, lesson)[-LESSONS_KEPT:]), forgive=False)


def _change(change: Callable[[RatesFile], RatesFile], forgive: bool) -> Path:
    """Change this machine's file, one process at a time; a damaged one is begun anew if that is forgiven."""
    machine = this_machine()
    file = rates_file(machine)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file.with_suffix(".lock"), "w") as lock:
            locked(lock, wait=True)
            try:
                before = _read(file, machine)
            except RatesError:
                if not forgive:
                    raise
                before = RatesFile(machine)
            write_atomically(file, _KEPT.dump_json(change(before), indent=1))
    except OSError as error:
        raise RatesError(f"{file} cannot be written: {error.strerror}. Set HADAMARD_CACHE to another directory") from error
    return file


def _read(file: Path, machine: Machine) -> RatesFile:
    try:
        kept = _KEPT.validate_json(file.read_bytes())
    except FileNotFoundError:
        return RatesFile(machine)
    except OSError as error:
        raise RatesError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        fix = "Delete it, or measure anew by `hadamard calibrate`"
        raise RatesError(f"{file}: damaged rates: {where}: {first['msg']}. {fix}") from error
    return kept if kept.machine == machine else RatesFile(machine)


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None][-LESSONS_USED:]
    return statistics.median(known) if known else None


def _origin(kept: RatesFile) -> str:
    base = NOT_OURS if kept.calibration is None else f"rates measured on this machine on {kept.calibration.when[:10]}"
    lessons = len(kept.lessons)
    return f"{base}, corrected by {lessons} run{'s' if lessons > 1 else ''}" if lessons else base


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
