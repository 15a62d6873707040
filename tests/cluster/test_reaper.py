"""What a run leaves is ended and removed, also when the run is killed; what does not belong to it stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hadamard.cluster.reaper import reaped
from tests.support.whole_runs import processes, until

SLEEPS = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(60)"
RUN = """
import subprocess, sys, time
from pathlib import Path
from hadamard.cluster.reaper import reaped

directory = Path(sys.argv[1])
with reaped(directory):
    subprocess.Popen([sys.executable, "-c", sys.argv[2], str(directory / "child")], start_new_session=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("end", [subprocess.Popen.kill, subprocess.Popen.terminate])
def test_a_run_that_is_killed_leaves_nothing(tmp_path: Path, end: object) -> None:
    directory, other = tmp_path / "hd-1", tmp_path / "hd-12"
    directory.mkdir()
    other.mkdir()
    beside = subprocess.Popen([sys.executable, "-c", SLEEPS, str(other / "child")])
    run = subprocess.Popen([sys.executable, "-c", RUN, str(directory), SLEEPS])
    until(lambda: (directory / "child").exists(), 20)
    until(lambda: (other / "child").exists(), 20)
    end(run)  # type: ignore[operator]
    run.wait()
    until(lambda: not directory.exists(), 20)
    assert not list(processes(f"{directory}/"))
    assert beside.poll() is None
    assert other.exists()
    beside.kill()
    beside.wait()


def test_at_the_end_of_the_block_all_is_gone(tmp_path: Path) -> None:
    directory = tmp_path / "hd-1"
    directory.mkdir()
    with reaped(directory):
        child = subprocess.Popen([sys.executable, "-c", SLEEPS, str(directory / "child")])
        until(lambda: (directory / "child").exists(), 20)
    assert child.wait() < 0
    assert not directory.exists()
