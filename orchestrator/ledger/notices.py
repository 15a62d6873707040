"""Notices: what does not work in a study that goes on all the same, such as a budget that is not enforced, or MLflow that is away.

A notice is a file `notices/NAME.json` of the study's directory that is there as long as it holds, so that `hadamard status` tells of it, in
another process or on another machine. What led to it is in `logs/`.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.energy.recorder import dead_meters
from hadamard.model.errors import LedgerError
from hadamard.model.files.atomic import read_json, write_atomically
from hadamard.model.logs import survived, warn_once

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Notice:
    """What does not work, and what follows from that.

    Attributes:
        name: Of what does not work; one notice of a name holds at a time.
        text: In words.
        since_s: Unix time.
    """

    name: str
    text: str
    since_s: float


def post(study: Path, name: str, text: str) -> None:
    """Keep a notice until it is withdrawn; one that holds already keeps its time and takes the new words."""
    file = _file(study, name)
    with survived(logger, f"{file} cannot be written: `hadamard status` does not tell of it", OSError, LedgerError):
        since_s = _read(file).since_s if file.exists() else time.time()
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, json.dumps({"text": text, "since_s": since_s}))


def withdraw(study: Path, name: str) -> None:
    """Remove a notice that no longer holds, if there is one."""
    with survived(logger, f"{_file(study, name)} cannot be removed: `hadamard status` tells of what is over", OSError):
        _file(study, name).unlink(missing_ok=True)


def withdraw_all(study: Path) -> None:
    """Remove what earlier drivers have left."""
    shutil.rmtree(study / "notices", ignore_errors=True)


@contextmanager
def noticed(study: Path, name: str, what: str) -> Iterator[None]:
    """Go on after any exception: log it once, and keep a notice until what is entered here goes well again.

    Args:
        study: The study's directory.
        name: Of the notice.
        what: What does not work, and what follows from that, such as "the budget is not enforced".
    """
    try:
        yield
    except Exception as error:
        warn_once(logger, what, error)
        post(study, name, f"{what}: {error}")
    else:
        withdraw(study, name)


def notices(study: Path) -> list[Notice]:
    """Return the notices that hold: those posted, and one for each meter that died in the last run.

    Raises:
        LedgerError: A file is damaged.
    """
    posted = [_read(file) for file in sorted((study / "notices").glob("*.json"))]
    dead = [
        Notice(f"meter of {host}", f"the meter of {host} is silent, its joules are not measured: {reason}", since_s)
        for host, reason, since_s in dead_meters(study)
    ]
    return posted + dead


def _read(file: Path) -> Notice:
    held = read_json(file, "Delete it")
    try:
        return Notice(file.stem, str(held["text"]), float(held["since_s"]))
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"{file} is damaged: {error!r}. Delete it") from error


def _file(study: Path, name: str) -> Path:
    return study / "notices" / f"{name}.json"
