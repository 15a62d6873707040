"""A run's plan against what it took, part by part, and what the next plan learns from it.

Owns the comparison, its file `plans/RUN.json` of the study's directory, and its words. Does not own prices, the record of who used what
(usage.py), nor the file of rates (rates.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hadamard.cluster.allocation import detect
from hadamard.cluster.energy.meters import CPU, SHORTEST_WINDOW_S
from hadamard.cluster.energy.recorder import Recording, recordings
from hadamard.cluster.node_drain import node_name
from hadamard.model.files.atomic import read_json, write_atomically
from hadamard.orchestrator.formats import NONE, count, duration
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.ledger.resource_log import EMBEDDINGS, PackUse, packs_used
from hadamard.orchestrator.planning.cost_estimate import RunEstimate
from hadamard.orchestrator.planning.cost_model import part_of
from hadamard.orchestrator.planning.machine_rates import END, PACK_START, START, Rates, RatesError, learn
from hadamard.orchestrator.planning.packs import Pack

PACKS, WHOLE = "packs", "whole"
"""Lines that are no parts to learn from: from the first pack's begin to the last one's end, and from the command to its end."""
MOSTLY_BUSY = 0.5
"""Of the core-seconds while packs ran, so many have to be held for watts of a busy core to be learned."""
LEAST_S = 0.5
"""What neither was to take longer nor did teaches nothing."""


@dataclass(frozen=True)
class Compared:
    """A part of a run, planned and as it was; None: not known.

    Attributes:
        part: As `rates.py` names it, or `packs` or `whole`.
        planned_s: Seconds; of parts of packs, of all their cores together.
        took_s: Likewise.
        of_cores: Whether they are seconds of cores, of the packs that can be compared, and not of the clock.
    """

    part: str
    planned_s: float | None
    took_s: float | None
    of_cores: bool = False


@dataclass(frozen=True)
class Comparison:
    """One run.

    Attributes:
        run: The number of its driver.
        lines: The run by the clock first, then the parts of its packs.
        packs: How many packs could be compared: those that were trained once, here, from begin to end.
        of_packs: How many there were.
        core_w: Watts of each busy core while packs ran; None if not measured.
        gpu_w: Likewise of GPUs.
    """

    run: int
    lines: tuple[Compared, ...]
    packs: int
    of_packs: int
    core_w: float | None = None
    gpu_w: float | None = None

    def line(self, part: str) -> Compared:
        """Return the line of a part of it."""
        return next(line for line in self.lines if line.part == part)


def process_began_s() -> float:
    """Return the Unix time at which this process began."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK"))


def compare(
    run: int,
    packs: Sequence[Pack],
    asked: RunEstimate,
    uses: Sequence[PackUse],
    records: Sequence[TrialRecord],
    span_s: tuple[float, float | None],
) -> Comparison:
    """Return a run's plan against what it took, without watts.

    Args:
        run: The number of its driver.
        packs: As planned.
        asked: Their price.
        uses: What held which devices, of this run among others.
        records: Of the packs' trials.
        span_s: Unix times of the command's begin and end; None while it goes on.
    """
    own = [use for use in uses if use.run == run]
    launches = [use for use in own if use.pack != EMBEDDINGS]
    embedded = [use for use in own if use.pack == EMBEDDINGS]
    embeddings_s = sum((use.end_s or use.begin_s) - use.begin_s for use in embedded)
    tuned = any(trial.settings.sentence_encoder.representation == "setfit" for pack in packs for trial in pack.trials)
    whole_embeddings_s = None if tuned or any(use.cause for use in embedded) else embeddings_s  # tuning is done, and timed, in packs
    at_once = _at_once(packs, launches, records)
    begin_s, end_s = span_s
    start = packs_s = end = whole = None
    if launches:
        start = launches[0].begin_s - begin_s - embeddings_s
    if launches and len(at_once) == len(packs):
        last_s = max(last for _, _, last in at_once)
        packs_s = last_s - launches[0].begin_s
        if end_s is not None:
            end, whole = end_s - last_s, end_s - begin_s
    clock = [
        Compared(START, asked.start_s, start),
        Compared(EMBEDDINGS, asked.embeddings_s, whole_embeddings_s),
        Compared(PACKS, asked.packs_s, packs_s),
        Compared(END, asked.end_s, end),
        Compared(WHOLE, asked.wall_s, whole),
    ]
    here = {pack.id: last_s - use.begin_s for pack, use, last_s in at_once if set(use.hosts) == {node_name()}}
    return Comparison(run, (*clock, *_of_packs([pack for pack in packs if pack.id in here], here, records)), len(here), len(packs))


def with_watts(comparison: Comparison, uses: Sequence[PackUse], found: Sequence[Recording]) -> Comparison:
    """Return it with the watts of this node's busy cores and GPUs while its packs ran, where its meter was read all that time."""
    host = node_name()
    held = [(use.begin_s, use.end_s, use.hosts[host]) for use in uses if use.run == comparison.run and host in use.hosts and use.end_s]
    recording = next((one for one in found if (one.run, one.host) == (comparison.run, host) and one.method), None)
    packs = [use for use in uses if use.run == comparison.run and use.pack != EMBEDDINGS]
    if recording is None or not held or not packs:
        return comparison
    window = (packs[0].begin_s, max(end_s for _, end_s, _ in held))
    if window[1] - window[0] < SHORTEST_WINDOW_S:
        return comparison
    core_s = sum((end_s - begin_s) * devices.cores for begin_s, end_s, devices in held if begin_s >= window[0])
    if core_s < MOSTLY_BUSY * (window[1] - window[0]) * detect().cpus:
        return comparison  # a few busy cores would have all that the idle ones take booked to them
    gpu_s = sum((end_s - begin_s) * len(devices.gpus) for begin_s, end_s, devices in held if begin_s >= window[0])
    joules = {True: 0.0, False: 0.0}
    for column, counter in enumerate(recording.trace.counters):
        before, after = recording.trace.at(window, column)
        joules[counter.device == CPU] += float(after - before)
    return replace(comparison, core_w=_watts(joules[True], core_s), gpu_w=_watts(joules[False], gpu_s))


def factors(comparison: Comparison, rates: Rates) -> dict[str, float]:
    """Return by part what its time without corrections is to be multiplied by, for it to have been planned right."""
    found = {}
    for line in comparison.lines:
        if line.part not in (PACKS, WHOLE) and line.planned_s and line.took_s and max(line.planned_s, line.took_s) >= LEAST_S:
            found[line.part] = rates.factors.get(line.part, 1.0) * line.took_s / line.planned_s
    return found


def note(
    study: Path, run: int, packs: Sequence[Pack], asked: RunEstimate, records: Sequence[TrialRecord], span_s: tuple[float, float | None]
) -> Comparison:
    """Compare a run, with watts, and keep that in the study's directory; a disk that cannot be written keeps what was known before."""
    uses = packs_used(study)
    comparison = with_watts(compare(run, packs, asked, uses, records, span_s), uses, recordings(study))
    with contextlib.suppress(OSError):
        _folder(study).mkdir(exist_ok=True)
        write_atomically(_folder(study) / f"{run:07d}.json", json.dumps(asdict(comparison), indent=1))
    return comparison


def learned(study: str, comparison: Comparison, rates: Rates) -> str:
    """Keep what a run teaches for this machine's next plans; return plan against actual in words."""
    found = factors(comparison, rates)
    try:
        if found:
            learn(study, found, comparison.core_w, comparison.gpu_w)
    except RatesError as error:
        return f"{in_words(comparison)}; nothing was learned: {error}"
    return in_words(comparison)


def comparisons(study: Path) -> list[Comparison]:
    """Return those of all runs of a study, the first one first."""
    kept = [read_json(file, "Delete it: what that run took is not known any longer") for file in sorted(_folder(study).glob("*.json"))]
    return [Comparison(**{**one, "lines": tuple(Compared(**line) for line in one["lines"])}) for one in kept]


def in_words(comparison: Comparison) -> str:
    """Return plan against actual in a line."""
    whole = comparison.line(WHOLE)
    if whole.took_s is None:
        return (
            f"not all that was planned was done at once; {comparison.packs} of {count(comparison.of_packs, 'pack')} compared with the plan"
        )
    if whole.planned_s is None:
        return f"{duration(whole.took_s)}; how long it would take was not known"
    each = [
        f"{line.part} {duration(line.took_s)} for {duration(line.planned_s)}"
        for line in comparison.lines
        if not line.of_cores and line.part != WHOLE and line.took_s and line.planned_s
    ]
    return f"{duration(whole.took_s)}, planned {duration(whole.planned_s)} ({', '.join(each)})"


def rows(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """Return the lines of a comparison as cells: what, planned, took, and their ratio."""

    def cell(seconds: float | None) -> str:
        return NONE if seconds is None else duration(seconds)

    found = []
    for line in comparison.lines:
        ratio = f"{line.took_s / line.planned_s:.2f}" if line.took_s is not None and line.planned_s else NONE
        what = f"{line.part}, all cores" if line.of_cores else line.part
        found.append((what, cell(line.planned_s), cell(line.took_s), ratio))
    return found


def _at_once(packs: Sequence[Pack], launches: Sequence[PackUse], records: Sequence[TrialRecord]) -> list[tuple[Pack, PackUse, float]]:
    """Return the packs that one launch trained, each trial from its begin to its result, with the Unix time of their end."""
    number, of_pack = Counter(use.pack for use in launches), {use.pack: use for use in launches}
    whole = {record.trial.key for record in records if record.status == "done" and record.attempts == 1}
    return [
        (pack, use, use.end_s)
        for pack in packs
        if number[pack.id] == 1
        and (use := of_pack[pack.id]).cause is None
        and use.end_s is not None
        and all(trial.key in whole for trial in pack.trials)
    ]


def _of_packs(packs: Sequence[Pack], lasted_s: Mapping[str, float], records: Sequence[TrialRecord]) -> list[Compared]:
    """Return the parts of packs, planned and as their trials' own seconds say; the rest of a pack's time is its start."""
    own_s = {record.trial.key: _own_s(record) for record in records}
    planned: dict[str, float] = {}
    took: dict[str, float] = {}
    for pack in (pack for pack in packs if pack.parts):
        work: dict[str, float] = {}
        for trial in pack.trials:
            part = part_of(trial.settings, pack.layout)
            work[part] = work.get(part, 0.0) + own_s[trial.key]
        parts = dict(pack.parts)
        if pack.ranks > 1 or any(trial.settings.sentence_encoder.representation == "setfit" for trial in pack.trials):
            del parts[PACK_START]  # more than one process starts, or an encoder is tuned
        else:
            work[PACK_START] = lasted_s[pack.id] - sum(work.values())
        for sums, one in ((planned, parts), (took, work)):
            for part, seconds in one.items():
                sums[part] = sums.get(part, 0.0) + seconds
    return [Compared(part, planned.get(part), took[part], of_cores=True) for part in sorted(took)]


def _watts(joules: float, device_s: float) -> float | None:
    """Return joules per second of a device; None where they were not measured all the time, or none was held."""
    return joules / device_s if device_s > 0 and joules > 0 else None


def _own_s(record: TrialRecord) -> float:
    return float(next((event["seconds"] for event in reversed(record.events) if event["event"] == "done"), 0.0))


def _folder(study: Path) -> Path:
    return study / "plans"
