"""What meters, workers and training processes leave in a study's directory, written or replayed by a test that knows the joules."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from hadamard.cluster.energy.base import Counter
from hadamard.model.trial import Trial
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.ledger.resource_log import EMBEDDINGS, packs_used

WATTS, IDLE_W = 60.0, 20.0
PACKAGE = Counter("package-0", "cpu", "cpu package", 1000.0)
Phase = tuple[float, str | None, Sequence[str], int]


def node(ledger: Ledger, host: str, until_s: float = 200.0, run: int = 1, died: str | None = None, watts: float = WATTS) -> None:
    """Write what a recorder leaves of a node that takes this many watts from 0 s on, its count starting again from zero every 1,000 J."""
    steps = range(0, int(until_s) + 1, 5)
    lines = [f"{t},{watts * t % 1000}" for t in steps]
    (ledger.directory / "energy").mkdir(exist_ok=True)
    base = ledger.directory / "energy" / f"{run:07d}-{host}"
    base.with_suffix(".csv").write_text("\n".join(["time_s,package-0", "wraps_at,1000.0", *lines, ""]))
    facts = {"host": host, "run": run, "method": "counter", "idle_w": [IDLE_W], "idle_s": 10.0, "died": died}
    base.with_suffix(".json").write_text(json.dumps({**facts, "counters": [vars(PACKAGE)]}))


def launch(
    ledger: Ledger, pack: str, begin_s: float, end_s: float | None, phases: Sequence[Phase],
    hosts: tuple[str, ...] = ("n1",), run: int = 1, cause: str | None = None, expected_s: float | None = None,
) -> None:  # fmt: skip
    """Write what a worker and a training process leave of one launch of a pack."""
    held = {host: {"cores": 1, "gpus": []} for host in hosts}
    lines = [{"pack": pack, "begin_s": begin_s, "hosts": held, "expected_s": expected_s, "trials": 1}]
    lines += [] if end_s is None else [{"end_s": end_s, "cause": cause, "trials_done": 1}]
    for folder in ("usage", "packs", f"packs/{pack}"):
        (ledger.directory / folder).mkdir(exist_ok=True)
    with open(ledger.directory / "usage" / f"{run:07d}-{hosts[0]}-{pack}.jsonl", "a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    with open(ledger.directory / "packs" / pack / "phases.jsonl", "a") as file:
        for moment, phase, trials, sentences in phases:
            file.write(json.dumps({"time_s": moment, "phase": phase, "trials": list(trials), "sentences": sentences}) + "\n")


def metered(ledger: Ledger, trial: Trial, joules: float) -> None:
    """Have a trial take this many joules of a node of one watt, as a pack of its own after all others."""
    begin_s = max((use.end_s or 0.0 for use in packs_used(ledger.directory)), default=0.0)
    node(ledger, "here", until_s=begin_s + joules + 5, watts=1.0)
    launch(ledger, f"p-{trial.digest}", begin_s, begin_s + joules, [(begin_s, "training", [trial.key], 0)], hosts=("here",))


def constant_trace(file: Path, watts: float, length_s: int = 3600) -> Path:
    """Write a trace to replay of a node that takes this many watts from now on, its count starting again from zero every 1,000 J."""
    now = time.time()
    readings = [f"{now + second:.3f},{watts * second % 1000}" for second in range(0, length_s, 10)]
    file.write_text("\n".join(["time_s,package-0", "wraps_at,1000", *readings, ""]))
    return file


def held_s(directory: Path, host: str | None = None) -> float:
    """Return for how long some pack held the node, or this node."""
    uses = [use for use in packs_used(directory) if use.pack != EMBEDDINGS and (host is None or host in use.hosts)]
    holds = [(use.begin_s, use.end_s or use.begin_s) for use in uses]
    bounds = sorted({moment for hold in holds for moment in hold})
    return sum(after - before for before, after in pairwise(bounds) if any(begin <= before < end for begin, end in holds))
