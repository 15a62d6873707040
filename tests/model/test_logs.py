"""Logging: a file that processes share, and what is survived told once."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hadamard.model import logs
from hadamard.model.logs import log_to, survived, warn_once


@pytest.fixture(autouse=True)
def clean_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    logger = logging.getLogger(logs.PACKAGE)
    before, level = list(logger.handlers), logger.level
    monkeypatch.setattr(logs, "_told", set())
    yield
    for handler in [handler for handler in logger.handlers if handler not in before]:
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)


def test_what_is_survived_is_logged_once(tmp_path: Path) -> None:
    log_to(tmp_path / "logs" / "n1.log")
    logger = logging.getLogger("hadamard.test")
    for number in (1, 1, 2):
        with survived(logger, "the meter is silent", OSError):
            raise OSError(f"fault {number}")
    lines = [line for line in (tmp_path / "logs" / "n1.log").read_text().splitlines() if "WARNING" in line]
    assert [line.rpartition("hadamard.test: ")[2] for line in lines] == [
        "the meter is silent: OSError: fault 1",
        "the meter is silent: OSError: fault 2",
    ]


def test_what_is_not_named_is_not_survived() -> None:
    with pytest.raises(ValueError, match="another"), survived(logging.getLogger("hadamard.test"), "nothing", OSError):
        raise ValueError("another")


def test_a_worker_that_goes_on_with_another_study_logs_there_alone(tmp_path: Path) -> None:
    for name in ("one", "two", "two"):
        log_to(tmp_path / name / "n1.log")
        warn_once(logging.getLogger("hadamard.test"), f"in {name}", "why")
    assert "in one" in (tmp_path / "one" / "n1.log").read_text()
    assert "in two" not in (tmp_path / "one" / "n1.log").read_text()
    assert (tmp_path / "two" / "n1.log").read_text().count("in two") == 1


def test_processes_that_share_a_file_rotate_it_and_lose_no_line_of_the_last_files(tmp_path: Path) -> None:
    file = tmp_path / "n1.log"
    code = (
        "import logging, sys; from pathlib import Path; from hadamard.model import logs; logs.LARGEST_BYTES = 20_000\n"
        "logs.log_to(Path(sys.argv[1]))\n"
        "for number in range(400): logging.getLogger('hadamard.test').info('line %s of %s', number, sys.argv[2])"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(file), name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert file.stat().st_size < 3 * 20_000
    kept = [line for path in (tmp_path / "n1.log.1", file) for line in path.read_text().splitlines()]
    assert all(" INFO " in line and ": line " in line for line in kept), "lines are whole"
    assert any("line 399 of a" in line for line in kept) or any("line 399 of b" in line for line in kept)
