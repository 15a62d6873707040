"""What a worker records of its pack: errors of its own, and what it held."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hadamard.cluster.launch import Outcome
from hadamard.cluster.mpi import RankPlacement
from hadamard.model.files.trial_files import PackFiles
from hadamard.orchestrator.execution import worker
from hadamard.orchestrator.ledger.resource_log import packs_used
from tests.cluster.test_launch import pack


def run(
    directory: Path,
    stop_reason: Callable[[], str | None] = lambda: None,
    ranks: int = 1,
    gpus: int = 0,
    deadline_s: float | None = None,
    metered: bool = False,
) -> None:
    one_each = {"ranks": ranks, "shards": ranks, "gpus": gpus, "all_gpus": False, "expected_s": 12.5}
    study = {"study": str(directory.parent.parent), "metered": metered, "budget": {}, "deadline_s": deadline_s}
    config = {"run": 1, "pack": "p", "job": None, **study, **{name: {"p": value} for name, value in one_each.items()}}
    worker._run_to_the_end(PackFiles(directory), config, stop_reason)


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


@pytest.mark.parametrize(
    ("hosts", "gpus", "held"),
    [
        ((), 0, {"here": {"cores": 1, "gpus": []}}),
        ((), 1, {"here": {"cores": 1, "gpus": ["3"]}}),
        (("n1", "n1"), 0, {"n1": {"cores": 2, "gpus": []}}),
        (("n1", "n1", "n2"), 1, {"n1": {"cores": 2, "gpus": ["0", "1"]}, "n2": {"cores": 1, "gpus": ["2"]}}),
    ],
)
def test_what_a_pack_holds_of_which_node_is_recorded_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...], gpus: int, held: dict[str, object]
) -> None:
    directory, (files,) = pack(tmp_path, 1)

    def trains(*_: object) -> Outcome:
        assert packs_used(tmp_path)[0].end_s is None, "its hold is known before it begins"
        files.result.write_text("{}")
        return Outcome(None, "")

    masks = tuple({"CUDA_VISIBLE_DEVICES": str(rank)} for rank in range(len(hosts)) if gpus)
    monkeypatch.setattr(worker, "run_pack", trains)
    monkeypatch.setattr(worker, "places", lambda *_: RankPlacement(hosts, "7", len(hosts), masks))
    monkeypatch.setenv("SLURMD_NODENAME", "here")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    run(directory, ranks=max(1, len(hosts)), gpus=gpus)
    (use,) = packs_used(tmp_path)
    assert {host: {"cores": one.cores, "gpus": list(one.gpus)} for host, one in use.hosts.items()} == held
    assert (use.run, use.cause, use.trials, use.trials_done, use.expected_s) == (1, None, 1, 1, 12.5)
    assert use.end_s is not None


def test_a_pack_waits_for_the_meters_of_all_its_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, (files,) = pack(tmp_path, 1)
    looked: list[str] = []

    def ready(_study: Path, _run: int, host: str) -> bool:
        looked.append(host)
        return looked.count(host) > 1

    def trains(*_: object) -> Outcome:
        assert looked.count("n1") == looked.count("n2") == 2
        files.result.write_text("{}")
        return Outcome(None, "")

    monkeypatch.setattr(worker, "is_ready", ready)
    monkeypatch.setattr(worker, "run_pack", trains)
    monkeypatch.setattr(worker, "places", lambda *_: RankPlacement(("n1", "n2"), "7", 2))
    run(directory, ranks=2, metered=True)
    assert files.result.exists()


def test_a_pack_that_would_pass_the_budget_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, (files,) = pack(tmp_path, 1)
    monkeypatch.setattr(worker, "run_pack", lambda *_: pytest.fail("it was begun"))
    run(directory, deadline_s=time.time() + 12.0)
    assert files.events() == []
    assert packs_used(tmp_path) == []


@pytest.mark.parametrize(
    ("looks", "cause"), [([{"a"}], "node lost"), ([{"a", "b"}, {"a", "b"}, {"a"}], "node lost"), ([{"a", "b"}], "worker lost")]
)
def test_a_silent_end_is_the_nodes_if_its_death_is_known_in_time(
    monkeypatch: pytest.MonkeyPatch, looks: list[set[str]], cause: str
) -> None:
    monkeypatch.setattr(worker, "LOOK_EVERY_S", 0.01)
    left = iter(looks)
    last = [looks[-1]]
    assert worker.cause_of_loss("b", lambda: next(left, last[0]), patience_s=0.1) == cause
