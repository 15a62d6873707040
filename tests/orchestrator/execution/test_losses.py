"""Lost training processes, workers, nodes and disks: what is done stays, and the rest goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.studies import write_study
from tests.support.whole_runs import (
    LONGER,
    in_training,
    journals,
    last_attempts,
    parent_of,
    results,
    run,
    stamps,
    start,
    table,
    trainers,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_killed_training_processes_and_workers_are_tried_again(undisturbed: Path, tmp_path: Path) -> None:
    study, directory = write_study(tmp_path, LONGER), tmp_path / "run"
    process = start(study, directory)
    until(lambda: bool(in_training(directory)))
    os.kill(in_training(directory)[0], signal.SIGKILL)
    until(lambda: results(directory) >= 3 and bool(in_training(directory)))
    os.kill(parent_of(in_training(directory)[0]), signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert table(directory) == table(undisturbed)
    causes = {event["cause"] for events in journals(directory) for event in events if event["event"] == "failed"}
    assert causes == {"killed", "worker lost"}


def test_packs_on_a_drained_node_save_their_work_hold_and_go_on_elsewhere(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, directory, node = write_study(tmp_path, LONGER), tmp_path / "run", tmp_path / "node"
    node.mkdir()
    monkeypatch.setenv("HADAMARD_NODE_DIR", str(node))
    process = start(study, directory)
    until(lambda: results(directory) >= 2 and bool(in_training(directory)))
    workers = [int(path.name) for path in (node / "packs").iterdir()]
    assert set(map(parent_of, trainers(directory))) <= set(workers)
    (node / "leaving").touch()
    until(lambda: not any((node / "packs").iterdir()), seconds=60)
    assert not trainers(directory)
    stopped = [one[-1] for one in last_attempts(directory)]
    assert {(event["event"], event.get("cause")) for event in stopped} == {("stopped", "left")}
    assert all(Path(f"/proc/{worker}").exists() for worker in workers), "their resources are held"
    (node / "leaving").unlink()  # as if what follows were on another node
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert table(directory) == table(undisturbed)
    assert not [event for events in journals(directory) for event in events if event["event"] == "failed"]


def test_a_study_is_stopped_also_while_its_packs_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, directory, node = write_study(tmp_path, LONGER), tmp_path / "run", tmp_path / "node"
    node.mkdir()
    monkeypatch.setenv("HADAMARD_NODE_DIR", str(node))
    process = start(study, directory)
    until(lambda: bool(in_training(directory)))
    (node / "leaving").touch()
    until(lambda: not any((node / "packs").iterdir()), seconds=60)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=40)
    assert process.returncode == 130, output


def test_a_disk_that_fills_up_ends_with_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        study = write_study(tmp_path, LONGER)
        process = start(study, disk / "run")
        until(lambda: results(disk / "run") >= 2)
        fill(disk / "ballast")
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 2, output
        assert "error: " in output
        assert "Traceback" not in output.split("error: ")[-1]
        finished = stamps(disk / "run")
        (disk / "ballast").unlink()
        code, output = run(study, disk / "run")
        assert code == 0, output
        assert all(stamps(disk / "run")[path] == stamp for path, stamp in finished.items())
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
