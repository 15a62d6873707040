"""What a worker records of its pack: errors of its own, and joules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.energy import Energy
from cluster.launch import Outcome
from cluster.mpi import Places
from model.journal import PackFiles
from orchestrator import worker
from tests.test_launch import pack


def run(directory: Path, must_stop: Callable[[], str | None] = lambda: None, ranks: int = 1, gpus: int = 0) -> None:
    one_each = {"ranks": ranks, "shards": ranks, "gpus": gpus, "all_gpus": False}
    config = {"run": 1, "pack": "p", "job": None, **{name: {"p": value} for name, value in one_each.items()}}
    worker._run_to_the_end(PackFiles(directory), config, must_stop)


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.tune.report", lambda _: None)
    monkeypatch.setattr(worker, "_take_over", lambda *_: None)
    monkeypatch.setattr(worker, "wait_for_bundles", lambda _: None)


@pytest.mark.parametrize(("why", "recorded"), [("superseded", []), ("timeout", ["failed"]), (None, ["failed"])])
def test_an_error_of_the_worker_is_recorded_unless_another_driver_has_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str | None, recorded: list[str]
) -> None:
    directory, (files,) = pack(tmp_path, 1)
    words = iter([None, why])

    def fails(*_: object) -> str:
        raise FileNotFoundError("gone")

    monkeypatch.setattr(worker, "_take_over", fails)
    run(directory, lambda: next(words))
    assert [event["event"] for event in files.events()] == recorded


class Meter:
    reason = ""

    def begin(self) -> None:
        pass

    def end(self) -> Energy:
        return Energy(90.0, "cpu package", "counter", 3.0)


@pytest.mark.parametrize(
    ("hosts", "gpus", "measured"),
    [(("n1",), 0, True), (("n1",), 1, True), (("n1", "n1"), 0, True), (("n1", "n2"), 0, False), (("n1", "n1"), 1, False)],
)
def test_joules_are_recorded_where_the_meter_sees_all_that_the_pack_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...], gpus: int, measured: bool
) -> None:
    directory, (files,) = pack(tmp_path, 1)

    def trains(*_: object) -> Outcome:
        files.append("started")
        files.result.write_text("{}")
        files.append("done", seconds=2.0)
        return Outcome(None, "")

    monkeypatch.setattr(worker, "run_pack", trains)
    monkeypatch.setattr(worker, "open_meter", lambda _: Meter())
    monkeypatch.setattr(worker, "places", lambda *_: Places(hosts, "7", len(hosts)))
    run(directory, ranks=len(hosts), gpus=gpus)
    assert [event["energy_j"] for event in files.events() if event["event"] == "energy"] == [90.0] * measured


@pytest.mark.parametrize(
    ("looks", "cause"), [([{"a"}], "node lost"), ([{"a", "b"}, {"a", "b"}, {"a"}], "node lost"), ([{"a", "b"}], "worker lost")]
)
def test_a_silent_end_is_the_nodes_if_its_death_is_known_in_time(
    monkeypatch: pytest.MonkeyPatch, looks: list[set[str]], cause: str
) -> None:
    monkeypatch.setattr(worker, "LOOK_EVERY_S", 0.01)
    left = iter(looks)
    last = [looks[-1]]
    assert worker.what_became("b", lambda: next(left, last[0]), patience_s=0.1) == cause
