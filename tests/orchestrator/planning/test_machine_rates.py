"""Rates: each machine's own, kept through damage and crowds, corrected by the median of its last runs. Calibration, for real."""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hadamard.orchestrator.planning import machine_rates
from hadamard.orchestrator.planning.calibration import Sample, fit
from hadamard.orchestrator.planning.machine_rates import (
    DEFAULTS,
    LESSONS_KEPT,
    LESSONS_USED,
    MOST_CORRECTED,
    Machine,
    RatesError,
    calibrated,
    known_rates,
    learn,
    rates_file,
    this_machine,
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path / "cache"))


def test_watts_that_were_modelled_are_none_of_counters_and_a_calibration_has_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    calibrated(replace(DEFAULTS, core_w=9.0), took_s=50.0)
    monkeypatch.setenv("HADAMARD_ENERGY", "modelled:6")
    assert known_rates().core_w is None, "counters said so"
    learn("study", {"compiled": 3.0}, core_w=6.0, gpu_w=None)
    assert (known_rates().core_w, known_rates().watts_by) == (6.0, "modelled")
    monkeypatch.delenv("HADAMARD_ENERGY")
    assert (known_rates().core_w, known_rates().watts_by) == (9.0, "counter")
    assert known_rates().factors == {"compiled": 2.0}
    learn("study", {"compiled": 3.0}, core_w=None, gpu_w=None)
    assert known_rates().factors == {"compiled": 3.0}


def test_rates_as_they_come_until_there_are_others() -> None:
    assert known_rates() == DEFAULTS
    assert "2.3 GHz" in known_rates().origin
    assert not rates_file(this_machine()).exists(), "looking leaves nothing behind"


def test_what_was_measured_is_kept_and_said() -> None:
    file = calibrated(replace(DEFAULTS, pack_start_s=3.0, core_w=12.5), took_s=50.0)
    found = known_rates()
    assert (found.pack_start_s, found.core_w, found.gpu_w, found.step_s) == (3.0, 12.5, None, DEFAULTS.step_s)
    assert "measured on this machine on 20" in found.origin
    assert json.loads(file.read_text())["calibration"]["took_s"] == 50.0


def test_another_machines_rates_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    file = calibrated(replace(DEFAULTS, pack_start_s=3.0), 50.0)
    monkeypatch.setattr(machine_rates, "this_machine", lambda: Machine("another processor", 128))
    assert known_rates() == DEFAULTS
    file.rename(rates_file(Machine("another processor", 128)))
    assert known_rates() == DEFAULTS, "nor where its file was copied"


def test_lessons_correct_by_the_median_of_the_last_runs() -> None:
    for factor in (9.0, 9.0, 1.0, 2.0, 40.0, 2.2, 1.9):
        learn("study", {"compiled": factor}, core_w=None, gpu_w=None)
    assert known_rates().corrected("compiled", 10.0) == pytest.approx(20.0), f"of the last {LESSONS_USED}, one of which was an accident"
    assert known_rates().corrected("torch", 10.0) == 10.0
    assert known_rates().origin.endswith("corrected by 7 runs")


def test_a_part_that_few_runs_had_is_corrected_by_those() -> None:
    learn("first", {"torch": 2.0}, core_w=10.0, gpu_w=None)
    for _ in range(LESSONS_USED):
        learn("others", {"compiled": 1.5}, core_w=None, gpu_w=None)
    found = known_rates()
    assert (found.factors, found.core_w) == ({"torch": 2.0, "compiled": 1.5}, 10.0)


@pytest.mark.parametrize(("factor", "kept"), [(1000.0, MOST_CORRECTED), (0.001, 1 / MOST_CORRECTED)])
def test_no_lesson_is_believed_beyond_reason(factor: float, kept: float) -> None:
    learn("study", {"end": factor}, None, None)
    assert known_rates().factors == {"end": kept}


def test_measuring_anew_forgets_what_was_learned_about_the_rates_of_before() -> None:
    learn("study", {"compiled": 3.0}, 10.0, None)
    calibrated(DEFAULTS, 50.0)
    assert known_rates().factors == {}


def test_the_file_does_not_grow_for_ever() -> None:
    for _ in range(LESSONS_KEPT + 5):
        learn("study", {"compiled": 1.0}, None, None)
    assert len(json.loads(rates_file(this_machine()).read_text())["lessons"]) == LESSONS_KEPT


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "the whole"),
        (lambda _: "", "the whole"),
        (lambda text: text.replace('"step_s":', '"step_s": "slow", "was":'), r"calibration\.rates\.step_s"),
        (lambda text: text.replace('"pack_start_s": 6.0', '"pack_start_s": -6.0'), r"calibration\.rates\.pack_start_s"),
    ],
)
def test_a_damaged_file_is_named_with_the_place_and_what_to_do(damage: object, said: str) -> None:
    file = calibrated(DEFAULTS, 50.0)
    file.write_text(damage(file.read_text()))  # type: ignore[operator]
    assert known_rates() == replace(DEFAULTS, origin=known_rates().origin), "no study waits for it"
    assert re.search(rf"{file.name}: damaged rates: {said}.*Delete it, or measure anew by `hadamard calibrate`", known_rates().origin)
    with pytest.raises(RatesError, match="damaged"):
        learn("study", {"compiled": 1.0}, None, None)
    calibrated(DEFAULTS, 50.0)
    assert known_rates().pack_start_s == DEFAULTS.pack_start_s


def test_runs_that_end_together_all_teach() -> None:
    context = multiprocessing.get_context("fork")
    ending = [context.Process(target=learn, args=(f"study-{number}", {"compiled": 2.0}, None, None)) for number in range(8)]
    for one in ending:
        one.start()
    for one in ending:
        one.join()
    assert len(json.loads(rates_file(this_machine()).read_text())["lessons"]) == 8


def test_a_fit_finds_the_rates_that_made_the_samples() -> None:
    numbers = np.random.default_rng(1)
    true = {"step_s": 2e-4, "gate_s": 1e-6, "amplitude_s": 1e-10}
    samples = []
    for _ in range(30):
        counts = {"step_s": 1.0, "gate_s": float(numbers.integers(20, 200)), "amplitude_s": float(10 ** numbers.uniform(4, 8))}
        seconds = sum(true[name] * amount for name, amount in counts.items())
        samples.append(Sample(seconds * numbers.uniform(0.98, 1.02), counts))
    found = fit(samples)
    assert found == pytest.approx(true, rel=0.1)
    assert min(fit([*samples, Sample(1e-9, {"gate_s": 1.0, "other": 5.0})]).values()) > 0


@pytest.mark.slow
def test_calibrating_for_real_gives_rates_of_this_machine() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hadamard", "calibrate", "--steps-s", "2", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    said, found = json.loads(done.stdout), known_rates()
    assert said["file"] == str(rates_file(this_machine()))
    assert "measured on this machine" in found.origin
    assert set(found.simulators) >= {"fused", "torch"}
    for name, rate in found.simulators.items():
        assert 1 / 30 < rate.amplitude_s / DEFAULTS.simulators[name].amplitude_s < 30
    for name in ("pack_start_s", "run_start_s", "run_end_s", "embedding_start_s", "characters_per_core_s", "step_s"):
        assert 1 / 30 < getattr(found, name) / getattr(DEFAULTS, name) < 30
    assert found.factors == {}, "a run that is measured teaches nothing beside"
    assert found.core_w is None, "there is no meter, and nothing is modelled unless that is asked for"
