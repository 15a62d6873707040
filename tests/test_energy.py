"""Energy meters: one contract, exact replay, and None with a reason where nothing is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.energy import EnergyMeter, NullMeter, ReplayMeter, ZeusMeter, counters_missing, open_meter


class Clock:
    """Time that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text("time_s,energy_j\n100,0\n110,50\n130,250\n")
    return path


@pytest.fixture(params=["null", "replay", "zeus"])
def meter(request: pytest.FixtureRequest, trace: Path) -> EnergyMeter:
    if request.param == "replay":
        return ReplayMeter(trace, Clock())
    return NullMeter("for the test") if request.param == "null" else ZeusMeter(gpus=1)


@pytest.mark.filterwarnings("ignore")
class TestContract:
    def test_a_window_gives_joules_with_scope_method_and_length_or_none(self, meter: EnergyMeter) -> None:
        meter.begin()
        energy = meter.end()
        if energy is not None:
            assert energy.energy_j >= 0
            assert energy.scope
            assert energy.method in ("counter", "replay")

    def test_windows_follow_each_other(self, meter: EnergyMeter) -> None:
        for _ in range(2):
            meter.begin()
            meter.end()


def test_replay_gives_exactly_the_joules_of_the_trace(trace: Path) -> None:
    clock = Clock()
    meter = ReplayMeter(trace, clock)
    clock.now = 105.0
    meter.begin()
    clock.now = 120.0
    energy = meter.end()
    assert energy is not None
    assert energy.energy_j == pytest.approx(25 + 100)
    assert energy.window_s == 15.0


def test_a_window_beyond_the_trace_is_not_measured(trace: Path) -> None:
    clock = Clock()
    meter = ReplayMeter(trace, clock)
    meter.begin()
    clock.now = 131.0
    assert meter.end() is None


def test_the_meter_is_chosen_by_the_environment(trace: Path) -> None:
    assert open_meter(1, {"HADAMARD_ENERGY": "off"}).reason.startswith("switched off")
    assert isinstance(open_meter(1, {"HADAMARD_ENERGY": f"replay:{trace}"}), ReplayMeter)


def test_why_nothing_is_measured_is_said(tmp_path: Path) -> None:
    assert "no energy counter" in counters_missing(tmp_path, tmp_path / "nvidiactl")
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    (package / "energy_uj").write_text("123\n")
    assert counters_missing(tmp_path, tmp_path / "nvidiactl") == ""
    package.rename(tmp_path / "intel-rapl:1")
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert "may not be read" in counters_missing(tmp_path, tmp_path / "nvidiactl")
