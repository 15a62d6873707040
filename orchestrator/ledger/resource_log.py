"""The resource log `usage/` of a study: which pack held which cores and GPUs of which nodes when, and how long each run took.

A launch of a pack has a line when it begins and one when it ends; a run has a file. Joules are in `energy`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hadamard.cluster.allocation import GPU_MASKS
from hadamard.cluster.energy.base import CPU
from hadamard.cluster.mpi import RankPlacement
from hadamard.cluster.node_drain import node_name
from hadamard.model.files.atomic import read_json, write_atomically
from hadamard.model.files.json_lines import append_line, read_lines
from hadamard.model.files.phase_log import FILE
from hadamard.model.logs import survived

EMBEDDINGS = "embeddings"
"""The name under which a driver holds its node while it computes embeddings."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Held:
    """Devices of a node.

    Attributes:
        cores: How many.
        gpus: Their numbers or UUIDs.
    """

    cores: int
    gpus: tuple[str, ...] = ()

    @property
    def devices(self) -> dict[str, float]:
        """Return them as meters name them."""
        return {CPU: float(self.cores), **{f"gpu:{gpu}": 1.0 for gpu in self.gpus}}


@dataclass(frozen=True)
class PackUse:
    """One launch of a pack.

    Attributes:
        pack: Its name.
        run: The number of the driver that had the study.
        hosts: What it held, by node.
        begin_s: Unix time.
        end_s: None while it goes on, or where its worker was lost with it.
        expected_s: How long it was expected to take with all of its trials; None if not known.
        cause: Why it ended early; None if it did not.
        trials: How many had no result before it.
        trials_done: How many of these had one after it.
    """

    pack: str
    run: int
    hosts: Mapping[str, Held]
    begin_s: float
    end_s: float | None = None
    expected_s: float | None = None
    cause: str | None = None
    trials: int = 0
    trials_done: int = 0


@dataclass(frozen=True)
class RunUse:
    """One driver's time with the study.

    Attributes:
        run: Its number.
        begin_s: Unix time.
        last_s: When it was last known to go on.
        node_s: Seconds of all its nodes together.
        job: Its Slurm job.
        spent_j: What all runs together had taken then; None where that is not known, or does not matter to the budget.
    """

    run: int
    begin_s: float
    last_s: float
    node_s: float = 0.0
    job: str | None = None
    spent_j: float | None = None

    @property
    def wall_s(self) -> float:
        """How long it took."""
        return self.last_s - self.begin_s


class PackRecord:
    """Writes one launch's lines; a file for each process that launches, since several of them on one file would mix their lines."""

    def __init__(self, study: Path, run: int, pack: str) -> None:
        self._file = _folder(study) / f"{run:07d}-{node_name()}-{os.getpid()}.jsonl"
        self._pack = pack
        self._file.parent.mkdir(exist_ok=True)

    def begin(self, hosts: Mapping[str, Held], expected_s: float | None, trials: int) -> None:
        """Record that a launch begins, before it does."""
        held = {host: asdict(devices) for host, devices in hosts.items()}
        self._write(pack=self._pack, begin_s=time.time(), hosts=held, expected_s=expected_s, trials=trials)

    def end(self, cause: str | None, trials_done: int) -> None:
        """Record how it has ended."""
        self._write(end_s=time.time(), cause=cause, trials_done=trials_done)

    def _write(self, **line: Any) -> None:
        with survived(
            logger, f"{self._file} cannot be written: joules of its packs are not known", OSError
        ):  # a trial must not fail for it
            append_line(self._file, json.dumps(line))


def holding(where: RankPlacement | None, gpus: int, environment: Mapping[str, str] = os.environ) -> dict[str, Held]:
    """Return what a pack holds of each node.

    Args:
        where: Of its ranks; None for one process here.
        gpus: Of each process.
        environment: Of its worker, to which Ray has given the GPUs of one process.
    """
    if where is None or where.job is None:  # all of it is here
        ranks, masks = (1, (environment,)) if where is None else (len(where.hosts), where.gpus)
        named = dict.fromkeys(gpu for mask in masks if gpus for gpu in _gpus(mask))
        return {node_name(environment): Held(ranks, tuple(named))}
    holds = {}
    for host in dict.fromkeys(where.hosts):
        here = [rank for rank, other in enumerate(where.hosts) if other == host]
        of_ranks = dict.fromkeys(gpu for rank in here if where.gpus for gpu in _gpus(where.gpus[rank]))
        holds[host] = Held(len(here), tuple(of_ranks))
    return holds


def packs_used(study: Path) -> list[PackUse]:
    """Return all launches of packs, embeddings among them, in the order in which they began."""
    uses = []
    for file in _folder(study).glob("*.jsonl"):
        run, begun = int(file.name.split("-")[0]), None
        for line in read_lines(file, skip_damaged=True):
            if "pack" in line:
                if begun is not None:
                    uses.append(PackUse(**begun))
                hosts = {host: Held(held["cores"], tuple(held["gpus"])) for host, held in line["hosts"].items()}
                begun = {**line, "hosts": hosts, "run": run}
            elif begun is not None:
                uses.append(PackUse(**begun, **line))
                begun = None
        if begun is not None:
            uses.append(PackUse(**begun))
    return sorted(uses, key=lambda use: use.begin_s)


def phases_of(study: Path, pack: str) -> list[dict[str, Any]]:
    """Return the lines of a pack's processes, as `hadamard.model.files.phase_log` writes them, in their order."""
    return list(read_lines(study / "packs" / pack / FILE, skip_damaged=True))


def runs_used(study: Path) -> list[RunUse]:
    """Return all runs, the first one first."""
    files = sorted(_folder(study).glob("*.json"))
    return [RunUse(**read_json(file, "Delete it: what that run used is not known any longer")) for file in files]


def save_run(study: Path, use: RunUse) -> None:
    """Keep what a run has used until now; a disk that cannot be written keeps what was known before."""
    folder = _folder(study)
    with survived(logger, f"{folder} cannot be written: what this run uses of the budget is not on record", OSError):
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"{use.run:07d}.json", json.dumps(asdict(use)))


@contextlib.contextmanager
def embedding(study: Path, run: int, cores: int, gpus: int, sentences: int) -> Iterator[None]:
    """Record that the driver computes embeddings of this many sentences while this is entered."""
    record = PackRecord(study, run, EMBEDDINGS)
    held = _gpus(os.environ) or tuple(map(str, range(gpus)))
    record.begin({node_name(): Held(cores, held if gpus else ())}, None, sentences)
    done = 0
    try:
        yield
        done = sentences
    finally:
        record.end(None if done else "error", done)


def _gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    mask = next((environment[name] for name in GPU_MASKS if environment.get(name)), "")
    return tuple(name.strip() for name in mask.split(",") if name.strip())


def _folder(study: Path) -> Path:
    return study / "usage"
