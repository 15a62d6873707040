"""The recorder of a node's meter: idle power first, all readings written, and a meter that dies told with its reason."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from hadamard.cluster.energy import recorder
from hadamard.cluster.energy.base import Counter, MeterError, Method
from hadamard.cluster.energy.recorder import Recorder, dead_meters, is_ready, recordings
from tests.cluster.test_launch import until


class Steady:
    """A meter that counts 2 J more at each reading, until it dies."""

    counters = (Counter("package-0", "cpu", "cpu package", 1000.0),)

    def __init__(self, readings: int | None = None, method: Method = "counter") -> None:
        self.method: Method = method
        self._readings = itertools.count() if readings is None else iter(range(readings))

    def read(self) -> tuple[float, ...]:
        try:
            return (2.0 * next(self._readings),)
        except StopIteration:
            raise MeterError("the driver was unloaded") from None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "EVERY_S", 0.001)


def test_a_recording_has_idle_power_and_all_readings(tmp_path: Path) -> None:
    node = Recorder(tmp_path, 3, "n1", Steady())
    assert not is_ready(tmp_path, 3, "n1")
    node.start(idle_s=0.05)
    assert is_ready(tmp_path, 3, "n1")
    node.stop()
    (recording,) = recordings(tmp_path)
    assert (recording.run, recording.host, recording.method, recording.died) == (3, "n1", "counter", None)
    assert recording.idle_w is not None
    assert 0 < recording.idle_w[0] <= 2.0 / 0.05
    assert recording.trace.counters == Steady.counters
    assert len(recording.trace.times_s) >= 2


def test_idle_power_is_measured_once_for_a_run_and_node(tmp_path: Path) -> None:
    for _ in range(2):  # the second is another process: packs run by then
        node = Recorder(tmp_path, 1, "n1", Steady())
        node.start(idle_s=0.02)
        node.stop()
    (recording,) = recordings(tmp_path)
    assert recording.idle_w is not None
    assert recording.idle_w[0] > 0


def test_a_model_takes_nothing_when_idle_and_waits_for_nothing(tmp_path: Path) -> None:
    node = Recorder(tmp_path, 1, "n1", Steady(method="modelled"))
    node.start(idle_s=3600)
    node.stop()
    assert recordings(tmp_path)[0].idle_w == (0.0,)


@pytest.mark.parametrize("readings", [1, 4])
def test_a_meter_that_dies_is_told_and_what_it_read_is_kept(tmp_path: Path, readings: int) -> None:
    node = Recorder(tmp_path, 1, "n1", Steady(readings))
    node.start(idle_s=0.0)
    until(lambda: bool(dead_meters(tmp_path)), 10)
    node.stop()
    (recording,) = recordings(tmp_path)
    assert recording.died == "the driver was unloaded"
    assert (recording.idle_w is None) == (readings == 1), "it died while the node was idle"
    assert [(host, reason) for host, reason, _ in dead_meters(tmp_path)] == [("n1", "the driver was unloaded")]


def test_a_node_without_a_meter_says_so(tmp_path: Path) -> None:
    node = Recorder(tmp_path, 1, "n1", None)
    node.start()
    node.stop()
    (recording,) = recordings(tmp_path)
    assert recording.method is None
    assert is_ready(tmp_path, 1, "n1")
