"""Rates: defaults, corrected by the median of a machine's last runs, in a file that survives damage and crowds. Calibration, for real."""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hadamard.orchestrator.planning import machine_rates
from hadamard.orchestrator.planning.machine_rates import (
    DEFAULTS,
    RUNS_KEPT,
    RUNS_USED,
    Machine,
    RatesError,
    known_rates,
    learn,
    observe,
    rates_file,
    save_calibration,
    this_machine,
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path / "cache"))


def calibrate(factors: Mapping[str, float] = {}, core_w: float | None = None) -> Path:
    return save_calibration(observe("calibration", factors, core_w, None))


def run(factors: Mapping[str, float], core_w: float | None = None) -> None:
    learn(observe("study", factors, core_w, None))


def test_watts_that_were_modelled_are_not_those_of_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    calibrate(core_w=9.0)
    monkeypatch.setenv("HADAMARD_ENERGY", "modelled:6")
    assert known_rates().core_w is None, "counters said so"
    run({}, core_w=6.0)
    assert (known_rates().core_w, known_rates().watts_by) == (6.0, "modelled")
    monkeypatch.delenv("HADAMARD_ENERGY")
    assert (known_rates().core_w, known_rates().watts_by) == (9.0, "counter")


def test_a_calibration_counts_like_a_run() -> None:
    calibrate({"compiled": 1.0, "start": 0.5})
    run({"compiled": 3.0})
    assert known_rates().factors == {"compiled": 2.0, "start": 0.5}
    run({"compiled": 3.0})
    assert known_rates().factors == {"compiled": 3.0, "start": 0.5}


def test_default_rates_until_a_run_corrects_them() -> None:
    assert known_rates() == DEFAULTS
    assert "2.3 GHz" in known_rates().origin
    assert not rates_file(this_machine()).parent.exists(), "looking leaves nothing behind"


def test_what_was_calibrated_is_kept_and_said() -> None:
    calibrate({"start": 1.5}, core_w=12.5)
    rates = known_rates()
    assert (rates.corrected("start", 10.0), rates.core_w, rates.gpu_w, rates.step_s) == (15.0, 12.5, None, DEFAULTS.step_s)
    assert re.fullmatch(r"rates calibrated on this machine on 20\d\d-\d\d-\d\d", rates.origin)


def test_another_machines_rates_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    calibrate({"start": 1.5})
    monkeypatch.setattr(machine_rates, "this_machine", lambda: Machine("another processor", 128))
    assert known_rates() == DEFAULTS


def test_runs_correct_by_the_median_of_the_last_ones() -> None:
    for factor in (9.0, 9.0, 1.0, 2.0, 40.0, 2.2, 1.9):
        run({"compiled": factor})
    assert known_rates().corrected("compiled", 10.0) == pytest.approx(20.0), f"of the last {RUNS_USED}, one of which was an accident"
    assert known_rates().corrected("torch", 10.0) == 10.0
    assert known_rates().origin.endswith("corrected by 7 runs")


def test_a_part_that_few_runs_had_is_corrected_by_those() -> None:
    run({"torch": 2.0}, core_w=10.0)
    for _ in range(RUNS_USED):
        run({"compiled": 1.5})
    rates = known_rates()
    assert (rates.factors, rates.core_w) == ({"torch": 2.0, "compiled": 1.5}, 10.0)


def test_calibrating_again_forgets_what_was_known() -> None:
    calibrate({"compiled": 2.0})
    run({"compiled": 3.0, "torch": 2.0}, core_w=10.0)
    calibrate({"compiled": 1.1})
    assert (known_rates().factors, known_rates().core_w) == ({"compiled": 1.1}, None)


def test_the_file_does_not_grow_for_ever() -> None:
    for _ in range(RUNS_KEPT + 5):
        run({"compiled": 1.0})
    assert len(json.loads(rates_file(this_machine()).read_text())["runs"]) == RUNS_KEPT


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "the whole"),
        (lambda _: "", "the whole"),
        (lambda text: text.replace('"start": 1.5', '"start": "slow"'), r"calibration\.factors\.start"),
        (lambda text: text.replace('"core_w": 9.0', '"core_w": -9.0'), r"calibration\.core_w"),
    ],
)
def test_a_damaged_file_is_named_with_the_place_and_what_to_do(damage: Callable[[str], str], said: str) -> None:
    file = calibrate({"start": 1.5}, core_w=9.0)
    damaged = damage(file.read_text())
    assert damaged != file.read_text()
    file.write_text(damaged)
    assert known_rates() == replace(DEFAULTS, origin=known_rates().origin), "no study waits for it"
    assert re.search(rf"{file.name}: damaged rates: {said}.*Delete it, or measure anew by `hadamard calibrate`", known_rates().origin)
    with pytest.raises(RatesError, match="damaged"):
        run({"compiled": 1.0})
    calibrate({"start": 1.5})
    assert known_rates().factors == {"start": 1.5}


def test_runs_that_end_together_all_teach() -> None:
    context = multiprocessing.get_context("fork")
    ending = [context.Process(target=run, args=({"compiled": 2.0},)) for _ in range(8)]
    for process in ending:
        process.start()
    for process in ending:
        process.join()
    assert len(json.loads(rates_file(this_machine()).read_text())["runs"]) == 8


@pytest.mark.slow
def test_calibrating_for_real_corrects_this_machines_plans() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hadamard", "calibrate", "--work-s", "2", "--json"], capture_output=True, text=True, check=True
    )
    said, rates = json.loads(done.stdout), known_rates()
    assert said["file"] == str(rates_file(this_machine()))
    assert "calibrated on this machine" in rates.origin
    assert rates.factors == said["factors"]
    assert rates.factors.keys() >= {"start", "embeddings", "pack start", "end"}
    assert any(name in rates.factors for name in rates.simulators), "the simulator that `auto` takes here"
    assert all(1 / 30 < factor < 30 for factor in rates.factors.values())
    assert rates.core_w is None, "there is no meter, and nothing is modelled unless that is asked for"
