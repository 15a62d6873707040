"""Feedback: which parts of a run can be compared with its plan, what must not be learned from, and that the next plan is better for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hadamard.cluster.allocation import Allocation
from hadamard.cluster.energy.base import CPU, Counter
from hadamard.cluster.energy.recorder import Recording
from hadamard.cluster.energy.trace import trace_of
from hadamard.cluster.node_drain import node_name
from hadamard.model.trial import Trial
from hadamard.orchestrator.formats import NONE, duration
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.ledger.resource_log import EMBEDDINGS, Held, PackUse
from hadamard.orchestrator.planning.cost_estimate import RunEstimate, estimate_run
from hadamard.orchestrator.planning.feedback import (
    PACKS,
    WHOLE,
    compare,
    comparisons,
    in_words,
    learn_from,
    observation,
    process_began_s,
    record_comparison,
    table_rows,
    with_watts,
)
from hadamard.orchestrator.planning.machine_rates import DEFAULTS, END, PACK_START, START, known_rates
from hadamard.orchestrator.planning.packs import Pack, pack_up
from tests.support.studies import TINY, read, write_study

HERE, RUN, BEGAN_S = node_name(), 3, 1000.0
TWO_CORES = Allocation(2, 24 * 2**30, 0, "this machine")


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[Pack, ...], RunEstimate]:
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path / "cache"))
    packs = pack_up(read(tmp_path, overrides=["simulator=torch", "training.epochs=200"]).trials, TWO_CORES)
    assert len(packs) == 2
    return packs, estimate_run(packs, TWO_CORES, DEFAULTS)


def record(trial: Trial, seconds: float = 2.0, attempts: int = 1, status: str = "done") -> TrialRecord:
    events = [*[{"event": "started", "time_ms": 0}] * attempts, {"event": "done", "time_ms": 0, "seconds": seconds}]
    return TrialRecord(trial, status, None, None, {}, tuple(events))  # type: ignore[arg-type]


def records_of(packs: Sequence[Pack], seconds: float = 2.0) -> list[TrialRecord]:
    return [record(trial, seconds) for pack in packs for trial in pack.trials]


def use(pack: str, begin_s: float, end_s: float | None, host: str = HERE, cause: str | None = None, run: int = RUN) -> PackUse:
    return PackUse(pack, run, {host: Held(1)}, begin_s, end_s, cause=cause)


def run_of(packs: Sequence[Pack], lasts_s: float = 20.0) -> list[PackUse]:
    """A run that starts for 8 s, embeds for 10 s, and trains two packs side by side."""
    return [use(EMBEDDINGS, 1004.0, 1014.0), *(use(pack.id, 1018.0, 1018.0 + lasts_s) for pack in packs)]


def test_each_part_of_a_run_is_compared_with_its_plan(planned: tuple[tuple[Pack, ...], RunEstimate]) -> None:
    packs, estimate = planned
    comparison = compare(RUN, packs, estimate, run_of(packs), records_of(packs), (BEGAN_S, 1050.0))
    took = {line.part: line.took_s for line in comparison.lines}
    trials = sum(len(pack.trials) for pack in packs)
    quantum = sum(trial.arm != "logistic" for pack in packs for trial in pack.trials)
    assert took == pytest.approx(
        {
            START: 8, EMBEDDINGS: 10, PACKS: 20, END: 12, WHOLE: 50,
            "torch": 2 * quantum, "closed form": 2 * (trials - quantum), PACK_START: 2 * 20 - 2 * trials,
        }
    )  # fmt: skip
    assert comparison.line(WHOLE).planned_s == estimate.wall_s
    assert comparison.line("torch").planned_s == pytest.approx(sum(pack.parts.get("torch", 0) for pack in packs))
    assert comparison.packs == comparison.of_packs == 2
    assert in_words(comparison).startswith("50 s, planned ")


def test_learning_makes_the_next_plan_that_of_this_run(planned: tuple[tuple[Pack, ...], RunEstimate], tmp_path: Path) -> None:
    packs, estimate = planned
    records = [record(trial, 0.04 if trial.arm == "logistic" else 2.0) for pack in packs for trial in pack.trials]
    comparison = compare(RUN, packs, estimate, run_of(packs), records, (BEGAN_S, 1050.0))
    learn_from("study", comparison, DEFAULTS)
    rates = known_rates()
    trials = [trial for pack in packs for trial in pack.trials]
    again = pack_up(trials, TWO_CORES, rates)
    next_time = estimate_run(again, TWO_CORES, rates)
    assert next_time.start_s == pytest.approx(8)
    assert next_time.embeddings_s == pytest.approx(10)
    assert next_time.end_s == pytest.approx(12)
    assert sum(pack.seconds or 0 for pack in again) == pytest.approx(40, rel=1e-3), "but for what takes moments"
    assert (next_time.packs_s or 0) < 30, "they may be dealt out otherwise"
    twice = compare(RUN, again, next_time, run_of(again), records, (BEGAN_S, 1050.0))
    assert observation("study", twice, rates).factors == pytest.approx(rates.factors), "relative to default rates: corrected only once"


@pytest.mark.parametrize("what", ["going on", "stopped", "twice", "elsewhere", "resumed", "failed"])
def test_what_was_not_done_here_at_once_teaches_nothing(planned: tuple[tuple[Pack, ...], RunEstimate], what: str) -> None:
    packs, estimate = planned
    good, bad = packs
    uses, records = run_of(packs), records_of(packs)
    first = bad.trials[0]
    match what:
        case "going on":
            uses[-1] = use(bad.id, 1018.0, None)
        case "stopped":
            uses[-1] = use(bad.id, 1018.0, 1030.0, cause="stopped")
        case "twice":
            uses.append(use(bad.id, 1038.0, 1048.0))
        case "elsewhere":
            uses[-1] = use(bad.id, 1018.0, 1038.0, host="another-node")
        case "resumed":
            records = [record(each.trial, attempts=2) if each.trial is first else each for each in records]
        case "failed":
            records = [record(each.trial, status="failed") if each.trial is first else each for each in records]
    comparison = compare(RUN, packs, estimate, uses, records, (BEGAN_S, 1050.0))
    assert (comparison.packs, comparison.of_packs) == (1, 2)
    for line in comparison.lines:
        if line.of_cores and line.part != PACK_START:
            assert line.took_s == pytest.approx(2.0 * sum(part == line.part for part in _parts(good)))
    assert comparison.line(START).took_s == pytest.approx(8)
    known = what == "elsewhere"  # by the clock, all of it was done at once
    assert (comparison.line(PACKS).took_s is not None, END in observation("study", comparison, DEFAULTS).factors) == (known, known)
    assert (comparison.line(WHOLE).took_s is not None) == known


def _parts(pack: Pack) -> list[str]:
    return ["closed form" if trial.arm == "logistic" else "torch" for trial in pack.trials]


def test_other_runs_of_the_study_do_not_count(planned: tuple[tuple[Pack, ...], RunEstimate]) -> None:
    packs, estimate = planned
    before = [use(pack.id, 10.0, 500.0, cause="stopped", run=RUN - 1) for pack in packs]
    both = compare(RUN, packs, estimate, [*before, *run_of(packs)], records_of(packs), (BEGAN_S, 1050.0))
    assert both == compare(RUN, packs, estimate, run_of(packs), records_of(packs), (BEGAN_S, 1050.0))


def test_a_run_that_began_nothing_teaches_nothing(planned: tuple[tuple[Pack, ...], RunEstimate]) -> None:
    packs, estimate = planned
    comparison = compare(RUN, packs, estimate, [], records_of(packs), (BEGAN_S, 1050.0))
    assert observation("study", comparison, DEFAULTS).factors == {}
    assert "0 of 2 packs" in in_words(comparison)


def test_moments_teach_nothing(planned: tuple[tuple[Pack, ...], RunEstimate]) -> None:
    packs, estimate = planned
    comparison = compare(RUN, packs, estimate, run_of(packs), records_of(packs, seconds=1e-3), (BEGAN_S, 1050.0))
    assert "closed form" not in observation("study", comparison, DEFAULTS).factors


def recording(watts: float, until_s: float, method: str | None = "counter") -> Recording:
    times = np.arange(1000.0, until_s + 0.25, 0.5)
    trace = trace_of([Counter("package-0", CPU, "cpu package", None)], list(times), [[watts * (moment - 1000.0)] for moment in times])
    return Recording(RUN, HERE, method, trace, None, None)  # type: ignore[arg-type]


def test_watts_are_those_of_busy_cores_while_packs_ran(planned: tuple[tuple[Pack, ...], RunEstimate]) -> None:
    packs, estimate = planned
    uses = run_of(packs)
    comparison = compare(RUN, packs, estimate, uses, records_of(packs), (BEGAN_S, 1050.0))
    assert with_watts(comparison, uses, [recording(30.0, 1050.0)]).core_w == pytest.approx(15.0), "two cores were busy"
    assert with_watts(comparison, uses, [recording(30.0, 1050.0)]).gpu_w is None
    for unknown in ([], [recording(30.0, 1050.0, method=None)], [recording(30.0, 1030.0)], [replace(recording(30.0, 1050.0), run=1)]):
        assert with_watts(comparison, uses, unknown).core_w is None
    short = run_of(packs, lasts_s=8.0)
    brief = compare(RUN, packs, estimate, short, records_of(packs, 0.5), (BEGAN_S, 1050.0))
    assert with_watts(brief, short, [recording(30.0, 1050.0)]).core_w is None, "meters say little of so short a window"


def test_comparisons_are_kept_with_the_study(planned: tuple[tuple[Pack, ...], RunEstimate], tmp_path: Path) -> None:
    packs, estimate = planned
    study = tmp_path / "study"
    study.mkdir()
    kept = [record_comparison(study, run, packs, estimate, records_of(packs), (BEGAN_S, 1050.0)) for run in (1, 2)]
    assert comparisons(study) == kept
    assert comparisons(tmp_path / "nothing") == []


def test_a_comparison_is_shown_with_ratios_and_gaps(planned: tuple[tuple[Pack, ...], RunEstimate]) -> None:
    packs, estimate = planned
    shown = {what: cells for what, *cells in table_rows(compare(RUN, packs, estimate, run_of(packs), records_of(packs), (BEGAN_S, None)))}
    assert shown[START] == ["10 s", "8 s", "0.80"]
    assert shown[END][1:] == shown[WHOLE][1:] == [NONE, NONE]
    assert shown[f"{PACK_START}, all cores"] == ["12 s", "20 s", "1.67"]


@pytest.mark.slow
def test_a_real_run_is_compared_and_the_next_plan_says_that_it_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HADAMARD_ENERGY", "modelled:7")
    study, directory = write_study(tmp_path, TINY), tmp_path / "run"

    def hadamard(*words: str) -> str:
        return subprocess.run([sys.executable, "-m", "hadamard", *words], capture_output=True, text=True, check=True).stdout

    before = json.loads(hadamard("plan", str(study), "--json"))
    said = hadamard("run", str(study), "--dir", str(directory), "--no-dashboard")
    after = json.loads(hadamard("plan", str(study), "--json"))
    (comparison,) = comparisons(directory)
    assert f"planned {duration(before['price']['wall_s'])}" in said
    assert (comparison.packs, comparison.of_packs) == (len(before["packs"]), len(before["packs"]))
    assert all(line.took_s is not None and line.took_s > 0 for line in comparison.lines)
    by_clock = {line.part: line.took_s or 0.0 for line in comparison.lines}
    assert sum(by_clock[part] for part in (START, EMBEDDINGS, PACKS, END)) == pytest.approx(by_clock[WHOLE], abs=1.0)
    assert after["rates"].endswith("corrected by 1 run")
    assert after["price"]["start_s"] == pytest.approx(by_clock[START], rel=0.01)
    assert after["price"]["embeddings_s"] == 0
    assert json.loads(hadamard("status", str(directory), "--json"))["plans"][0]["run"] == 1
    assert "Plan and what it took" in (directory / "report" / "report.html").read_text()


def test_this_process_has_begun_lately() -> None:
    assert 0 < time.time() - process_began_s() < 24 * 3600
