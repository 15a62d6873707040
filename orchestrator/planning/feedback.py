"""A run compared with its plan, part by part, and what the next plan learns from it.

Comparisons are kept in `plans/RUN.json` of the study's directory, corrections by `machine_rates.py`.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hadamard.cluster.allocation import detect
from hadamard.cluster.energy.base import CPU, SHORTEST_WINDOW_S
from hadamard.cluster.energy.recorder import Recording, recordings
from hadamard.cluster.node_drain import node_name
from hadamard.model.files.atomic import read_json, write_atomically
from hadamard.model.logs import survived
from hadamard.orchestrator.formats import NONE, count, duration
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.ledger.resource_log import EMBEDDINGS, PackUse, packs_used
from hadamard.orchestrator.planning.cost_estimate import RunEstimate
from hadamard.orchestrator.planning.cost_model import part_of
from hadamard.orchestrator.planning.machine_rates import END, PACK_START, START, Observation, Rates, RatesError, learn, observe
from hadamard.orchestrator.planning.packs import Pack

logger = logging.getLogger(__name__)

PACKS, WHOLE = "packs", "whole"
"""Lines from which nothing is learned: from the first pack's begin to the last one's end, and from the command to its end."""
LEAST_BUSY = 0.5
"""Part of the core-seconds while packs ran that must be in use for the watts of a busy core to be learned."""
LEAST_S = 0.5
"""A part that neither was planned to take longer nor did teaches nothing."""


@dataclass(frozen=True)
class PartTime:
    """A part of a run, planned and as it was; None: not known.

    Attributes:
        part: As `machine_rates.py` names it, or `packs` or `whole`.
        planned_s: Seconds; of parts of packs, of all their cores together.
        took_s: Likewise.
        of_cores: Whether they are seconds of cores, summed over the packs that can be compared, and not of the clock.
    """

    part: str
    planned_s: float | None
    took_s: float | None
    of_cores: bool = False


@dataclass(frozen=True)
class Comparison:
    """A run and its plan.

    Attributes:
        run: The number of its driver.
        lines: The run by the clock first, then the parts of its packs.
        packs: How many packs could be compared: those that one launch trained, on this node, from begin to end.
        of_packs: How many there were.
        core_w: Watts of each busy core while packs ran; None if not measured.
        gpu_w: Likewise of GPUs.
    """

    run: int
    lines: tuple[PartTime, ...]
    packs: int
    of_packs: int
    core_w: float | None = None
    gpu_w: float | None = None

    def line(self, part: str) -> PartTime:
        """Return the line of a part."""
        return next(line for line in self.lines if line.part == part)


def process_began_s() -> float:
    """Return the Unix time at which this process began."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK"))


def compare(
    run: int,
    packs: Sequence[Pack],
    estimate: RunEstimate,
    uses: Sequence[PackUse],
    records: Sequence[TrialRecord],
    span_s: tuple[float, float | None],
) -> Comparison:
    """Compare a run with its plan, without watts.

    Args:
        run: The number of its driver.
        packs: As planned.
        estimate: What they were expected to take.
        uses: What held which devices, of this run among others.
        records: Of the packs' trials.
        span_s: Unix times of the command's begin and end; None while it goes on.
    """
    own = [use for use in uses if use.run == run]
    launches = [use for use in own if use.pack != EMBEDDINGS]
    embedded = [use for use in own if use.pack == EMBEDDINGS]
    embeddings_s = sum((use.end_s or use.begin_s) - use.begin_s for use in embedded)
    known_embeddings_s = None if any(map(_tunes_encoder, packs)) or any(use.cause for use in embedded) else embeddings_s
    complete = _complete(packs, launches, records)
    begin_s, end_s = span_s
    start = packs_s = end = whole = None
    if launches:
        start = launches[0].begin_s - begin_s - embeddings_s
    if launches and len(complete) == len(packs):
        last_s = max(use.end_s or 0.0 for use in complete.values())
        packs_s = last_s - launches[0].begin_s
        if end_s is not None:
            end, whole = end_s - last_s, end_s - begin_s
    by_clock = (
        PartTime(START, estimate.start_s, start),
        PartTime(EMBEDDINGS, estimate.embeddings_s, known_embeddings_s),
        PartTime(PACKS, estimate.packs_s, packs_s),
        PartTime(END, estimate.end_s, end),
        PartTime(WHOLE, estimate.wall_s, whole),
    )
    here = [pack for pack in packs if pack.id in complete and set(complete[pack.id].hosts) == {node_name()}]
    return Comparison(run, (*by_clock, *_parts_of_packs(here, complete, records)), len(here), len(packs))


def with_watts(comparison: Comparison, uses: Sequence[PackUse], meters: Sequence[Recording]) -> Comparison:
    """Return it with the watts of this node's busy cores and GPUs while its packs ran, where its meter was read all that time."""
    host, run = node_name(), comparison.run
    meter = next((one for one in meters if (one.run, one.host) == (run, host) and one.method), None)
    launches = [use for use in uses if use.run == run and use.pack != EMBEDDINGS and host in use.hosts]
    spans = [(use.begin_s, use.end_s, use.hosts[host]) for use in launches if use.end_s is not None]
    if meter is None or not spans:
        return comparison
    window = min(begin_s for begin_s, _, _ in spans), max(end_s for _, end_s, _ in spans)
    core_s = sum((end_s - begin_s) * held.cores for begin_s, end_s, held in spans)
    gpu_s = sum((end_s - begin_s) * len(held.gpus) for begin_s, end_s, held in spans)
    window_s = window[1] - window[0]
    if window_s < SHORTEST_WINDOW_S or core_s < LEAST_BUSY * window_s * detect().cpus:
        return comparison  # too short to be metered, or most of the energy is that of idle cores
    energy_j = {True: 0.0, False: 0.0}
    for column, counter in enumerate(meter.trace.counters):
        before, after = meter.trace.at(window, column)
        energy_j[counter.device == CPU] += float(after - before)
    return replace(comparison, core_w=_watts(energy_j[True], core_s), gpu_w=_watts(energy_j[False], gpu_s))


def record_comparison(
    study: Path, run: int, packs: Sequence[Pack], estimate: RunEstimate, records: Sequence[TrialRecord], span_s: tuple[float, float | None]
) -> Comparison:
    """Compare a run with its plan, with watts, and keep that in the study's directory, if it can be written; see `compare`."""
    uses = packs_used(study)
    comparison = with_watts(compare(run, packs, estimate, uses, records, span_s), uses, recordings(study))
    with survived(logger, f"{_folder(study)} cannot be written: this run's comparison with its plan is lost", OSError):
        _folder(study).mkdir(exist_ok=True)
        write_atomically(_folder(study) / f"{run:07d}.json", json.dumps(asdict(comparison), indent=1))
    return comparison


def comparisons(study: Path) -> list[Comparison]:
    """Return the comparisons of all runs of a study, the first one first."""
    saved = [read_json(file, "Delete it: what that run took is not known any longer") for file in sorted(_folder(study).glob("*.json"))]
    return [Comparison(**{**content, "lines": tuple(PartTime(**line) for line in content["lines"])}) for content in saved]


def observation(study: str, comparison: Comparison, rates: Rates) -> Observation:
    """Return what a run teaches about this machine.

    Args:
        study: Its name.
        comparison: With the plan.
        rates: Those that the plan was made from.
    """
    factors = {}
    for line in comparison.lines:
        if line.part not in (PACKS, WHOLE) and line.planned_s and line.took_s and max(line.planned_s, line.took_s) >= LEAST_S:
            factors[line.part] = rates.factors.get(line.part, 1.0) * line.took_s / line.planned_s
    return observe(study, factors, comparison.core_w, comparison.gpu_w)


def learn_from(study: str, comparison: Comparison, rates: Rates) -> str:
    """Keep what a run teaches for this machine's next plans; return plan and run in words. See `observation`."""
    observed = observation(study, comparison, rates)
    try:
        if observed.factors:
            learn(observed)
    except RatesError as error:
        return f"{in_words(comparison)}; nothing was learned: {error}"
    return in_words(comparison)


def in_words(comparison: Comparison) -> str:
    """Return plan and run in a line."""
    whole = comparison.line(WHOLE)
    if whole.took_s is None:
        compared = f"{comparison.packs} of {count(comparison.of_packs, 'pack')} compared with the plan"
        return f"not all that was planned was done in one go; {compared}"
    if whole.planned_s is None:
        return f"{duration(whole.took_s)}; how long it would take was not known"
    parts = [
        f"{line.part} {duration(line.took_s)} for {duration(line.planned_s)}"
        for line in comparison.lines
        if not line.of_cores and line.part != WHOLE and line.took_s and line.planned_s
    ]
    return f"{duration(whole.took_s)}, planned {duration(whole.planned_s)} ({', '.join(parts)})"


def table_rows(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """Return the lines of a comparison as cells: part, planned, took, and their ratio."""

    def row(line: PartTime) -> tuple[str, str, str, str]:
        planned, took = (NONE if seconds is None else duration(seconds) for seconds in (line.planned_s, line.took_s))
        ratio = f"{line.took_s / line.planned_s:.2f}" if line.took_s is not None and line.planned_s else NONE
        return (f"{line.part}, all cores" if line.of_cores else line.part), planned, took, ratio

    return [row(line) for line in comparison.lines]


def _complete(packs: Sequence[Pack], launches: Sequence[PackUse], records: Sequence[TrialRecord]) -> dict[str, PackUse]:
    """Return the only launch of each pack that one launch trained, all its trials from begin to result, by the pack's id."""
    number, of_pack = Counter(use.pack for use in launches), {use.pack: use for use in launches}
    at_once = {record.trial.key for record in records if record.status == "done" and record.attempts == 1}
    return {
        pack.id: use
        for pack in packs
        if number[pack.id] == 1
        and (use := of_pack[pack.id]).cause is None
        and use.end_s is not None
        and all(trial.key in at_once for trial in pack.trials)
    }


def _parts_of_packs(packs: Sequence[Pack], launches: Mapping[str, PackUse], records: Sequence[TrialRecord]) -> list[PartTime]:
    """Return the parts of packs, planned and as their trials' own seconds say; the rest of a pack's time is its start."""
    trial_s = {record.trial.key: _trial_seconds(record) for record in records}
    planned: dict[str, float] = {}
    took: dict[str, float] = {}

    def add(part: str, planned_s: float, took_s: float) -> None:
        planned[part] = planned.get(part, 0.0) + planned_s
        took[part] = took.get(part, 0.0) + took_s

    for pack in (pack for pack in packs if pack.parts):
        launch = launches[pack.id]
        rest_s = (launch.end_s or launch.begin_s) - launch.begin_s
        for trial in pack.trials:
            add(part_of(trial.settings, pack.layout), 0.0, trial_s[trial.key])
            rest_s -= trial_s[trial.key]
        for part, seconds in pack.parts.items():
            if part != PACK_START:
                add(part, seconds, 0.0)
            elif pack.ranks == 1 and not _tunes_encoder(pack):  # else several processes start, or an encoder is tuned in this time
                add(part, seconds, rest_s)
    return [PartTime(part, planned.get(part), took[part], of_cores=True) for part in sorted(took)]


def _tunes_encoder(pack: Pack) -> bool:
    """Whether a sentence encoder is tuned, and texts are embedded, in the pack."""
    return any(trial.settings.sentence_encoder.representation == "setfit" for trial in pack.trials)


def _watts(energy_j: float, device_s: float) -> float | None:
    """Return joules per second of a device; None where they were not measured all the time, or none was held."""
    return energy_j / device_s if device_s > 0 and energy_j > 0 else None


def _trial_seconds(record: TrialRecord) -> float:
    return float(next((event["seconds"] for event in reversed(record.events) if event["event"] == "done"), 0.0))


def _folder(study: Path) -> Path:
    return study / "plans"
