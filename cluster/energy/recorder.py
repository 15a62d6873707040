"""The record of a node's meter during one run: its idle power, then its readings twice a second until it ends or dies.

In a study's directory: `energy/RUN-NODE.json` and `.csv`, written and read here.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hadamard.cluster.energy.base import Counter, Meter, MeterError, Method, step_j
from hadamard.cluster.energy.trace import TIME, WRAPS, Trace, read_trace
from hadamard.model.files.atomic import read_json, write_atomically
from hadamard.model.files.json_lines import append_line
from hadamard.model.logs import survived, warn_once

logger = logging.getLogger(__name__)
EVERY_S = 0.5
WRITE_EVERY_S = 2.0
"""Readings are written together: on a file system that nodes share, each writing is a request to its server."""
IDLE_S = 10.0


@dataclass(frozen=True)
class Recording:
    """The record of a node's meter during one run.

    Attributes:
        run: The number of the driver that had the study.
        host: The node.
        method: How joules were measured; None where nothing was.
        trace: The readings.
        idle_w: Watts of each counter before any pack was started here; None where that is not known.
        died: Why its meter could not be read any longer; None if it could to the end.
    """

    run: int
    host: str
    method: Method | None
    trace: Trace
    idle_w: tuple[float, ...] | None
    died: str | None


class Recorder:
    """Records the meter of this node from a thread, from `start` to `stop`."""

    def __init__(self, study: Path, run: int, host: str, meter: Meter | None) -> None:
        """Prepare; for a node without a meter only this fact is recorded."""
        self._csv, self._json = files(study, run, host)
        self._host, self._run, self._meter = host, run, meter
        self._lines: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, name="energy", daemon=True)
        self._facts: dict[str, Any] = {}

    def start(self, idle_s: float = IDLE_S) -> None:
        """Measure the node's idle power for some seconds, once for each run and node, then record.

        No pack may begin here before it returns, or `is_ready`.
        """
        self._json.parent.mkdir(exist_ok=True)
        counters = self._meter.counters if self._meter else ()
        self._facts = {
            "host": self._host,
            "run": self._run,
            "method": self._meter.method if self._meter else None,
            "counters": [asdict(counter) for counter in counters],
            "idle_w": None,
            "idle_s": idle_s,
            "died": None,
        }
        if self._json.exists():  # another process recorded here before: the node is no longer idle
            self._facts["idle_w"] = read_json(self._json, "Delete it")["idle_w"]
        elif self._meter is not None:
            self._csv.write_text(f"{','.join([TIME, *(counter.name for counter in counters)])}\n{_wraps(counters)}")
            self._facts["idle_w"] = self._idle_w(self._meter, idle_s)
            self._write()  # so that all work lies between two readings
        self._save()
        if self._meter is not None:
            self._thread.start()

    def stop(self) -> None:
        """Take a last reading and write all."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2 * WRITE_EVERY_S)

    def _idle_w(self, meter: Meter, seconds: float) -> list[float] | None:
        if meter.method == "modelled":
            return [0.0] * len(meter.counters)  # that is the model: an idle core takes nothing
        try:
            begin, first = time.monotonic(), meter.read()
            time.sleep(seconds)
            last, window_s = self._read(meter), time.monotonic() - begin
        except MeterError as error:
            self._died(error)
            return None
        return [step_j(*both) / window_s for both in zip(meter.counters, first, last, strict=True)]

    def _record(self) -> None:
        assert self._meter is not None
        written_s, last = time.monotonic(), self._facts["died"] is not None
        while not last:
            last = self._stop.is_set()  # one more reading then
            try:
                self._read(self._meter)
            except MeterError as error:
                self._died(error)
                last = True
            if last or time.monotonic() - written_s > WRITE_EVERY_S:
                self._write()
                written_s = time.monotonic()
            self._stop.wait(EVERY_S)
        if self._facts["died"] is not None:
            self._save()

    def _died(self, error: MeterError) -> None:
        warn_once(logger, "the meter of this node is silent: joules are not measured any longer", error)
        self._facts["died"] = str(error)

    def _read(self, meter: Meter) -> tuple[float, ...]:
        """Read the meter, and keep that with the middle of the time that it took."""
        begin_s = time.time()
        joules = meter.read()
        moment_s = (begin_s + time.time()) / 2
        self._lines.append(",".join([f"{moment_s:.4f}", *(f"{value:.6f}" for value in joules)]))
        return joules

    def _write(self) -> None:
        with survived(logger, f"{self._csv} cannot be written, as on a full disk: the next time tries again", OSError):
            append_line(self._csv, "\n".join(self._lines))
            self._lines.clear()

    def _save(self) -> None:
        with survived(logger, f"{self._json} cannot be written: this node's joules are not known", OSError):
            write_atomically(self._json, json.dumps(self._facts, indent=1))


def files(study: Path, run: int, host: str) -> tuple[Path, Path]:
    """Return the readings and the facts of one node in one run."""
    name = f"{run:07d}-{host}"
    return study / "energy" / f"{name}.csv", study / "energy" / f"{name}.json"


def is_ready(study: Path, run: int, host: str) -> bool:
    """Whether the meter of a node records, or there is none: work may begin there."""
    return files(study, run, host)[1].exists()


def recordings(study: Path) -> list[Recording]:
    """Return the recordings of a study, as far as they are written by now.

    Raises:
        LedgerError: A file of facts is damaged.
    """
    records = []
    for file in sorted((study / "energy").glob("*.json")):
        facts = read_json(file, "Delete it and its .csv: what was measured then is not known any longer")
        counters = [Counter(**counter) for counter in facts["counters"]]
        trace = read_trace(file.with_suffix(".csv"), counters)
        idle_w = None if facts["idle_w"] is None else tuple(facts["idle_w"])
        records.append(Recording(facts["run"], facts["host"], facts["method"], trace, idle_w, facts["died"]))
    return records


def dead_meters(study: Path) -> list[tuple[str, str, float]]:
    """Return node, reason and Unix time of the meters that died in a study's last run."""
    files = sorted((study / "energy").glob("*.json"))
    facts = [(file, read_json(file, "Delete it and its .csv")) for file in files if file.name.split("-")[0] == files[-1].name.split("-")[0]]
    return [(content["host"], content["died"], file.stat().st_mtime) for file, content in facts if content["died"] is not None]


def _wraps(counters: Sequence[Counter]) -> str:
    ends = ["" if counter.wraps_at_j is None else repr(counter.wraps_at_j) for counter in counters]
    return f"{','.join([WRAPS, *ends])}\n"
