"""Joules of trials by recorded traces, phases and holds whose joules are known; and what recording them costs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hadamard.cluster.energy.base import Counter, Host, MeterError, Method
from hadamard.cluster.energy.recorder import Recorder, is_ready, recordings
from hadamard.cluster.energy.sysfs import POWERCAP, Powercap
from hadamard.model.files.phase_log import Phases
from hadamard.model.files.trial_files import TrialFiles
from hadamard.orchestrator.energy.attribution import StudyEnergy, study_energy
from hadamard.orchestrator.energy.slurm_accounting import cross_checks
from hadamard.orchestrator.energy.totals import study_j
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.ledger.resource_log import RunUse, embedding, packs_used, save_run
from hadamard.orchestrator.results.tables import costs
from hadamard.orchestrator.study.expansion import Plan
from tests.cluster.energy.test_meters import zone
from tests.support.finished import finish
from tests.support.metered import IDLE_W, PACKAGE, WATTS, launch, node
from tests.support.studies import entered


@pytest.fixture
def ledger(tmp_path: Path, plan: Plan) -> Ledger:
    return entered(tmp_path / "run", plan)


def found(ledger: Ledger, plan: Plan) -> StudyEnergy:
    return study_energy(ledger.directory, ledger.records(plan.trials))


def test_one_after_the_other_each_phase_has_its_own(ledger: Ledger, plan: Plan) -> None:
    node(ledger, "n1")
    first, second = plan.trials[:2]
    phases = [(12.0, "embedding", [first.key], 0), (20.0, "training", [first.key], 0), (40.0, "evaluation", [first.key], 5)]
    launch(ledger, "p", 10, 50, [*phases, (42.0, "inference", [first.key], 100), (47.0, None, [], 0)])
    launch(ledger, "q", 50, 60, [(50.0, "training", [second.key], 0)])
    for trial in (first, second):
        finish(ledger, trial, 0.75)
    trials = found(ledger, plan).trials
    energy = trials[first.digest]
    assert energy.phases_j == pytest.approx(
        {"embedding": 8 * WATTS, "training": 20 * WATTS, "evaluation": 2 * WATTS, "inference": 5 * WATTS, "overhead": 5 * WATTS}
    )
    assert energy.energy_j == pytest.approx(40 * WATTS)
    assert energy.net_j == pytest.approx(40 * (WATTS - IDLE_W))
    assert energy.inference_j == pytest.approx(5 * WATTS / 100)
    assert (energy.scope, energy.method, energy.window_s) == ("cpu package", "counter", 40)
    assert trials[second.digest].phases_j == pytest.approx({"training": 10 * WATTS})
    assert found(ledger, plan).nodes_j == pytest.approx({"n1": 50 * WATTS})
    assert study_j(ledger.directory) == pytest.approx(50 * WATTS)


def test_packed_trials_share_equally_and_packs_side_by_side_by_what_they_hold(ledger: Ledger, plan: Plan) -> None:
    node(ledger, "n1")
    a, b, c = plan.trials[:3]
    launch(ledger, "p", 0, 20, [(0.0, "training", [a.key, b.key], 0), (15.0, "training", [b.key], 0)])
    launch(ledger, "q", 10, 30, [(10.0, "training", [c.key], 0)])
    for trial in (a, b, c):
        finish(ledger, trial, 0.75)
    trials = found(ledger, plan).trials
    joules = {trial.key: trials[trial.digest].energy_j for trial in (a, b, c)}
    assert joules == pytest.approx({a.key: 5 * WATTS + 1.25 * WATTS, b.key: 5 * WATTS + 1.25 * WATTS + 2.5 * WATTS, c.key: 15 * WATTS})
    assert sum(joules.values()) == pytest.approx(30 * WATTS), "nothing is counted twice, nothing is left over"
    assert {trials[trial.digest].method for trial in (a, b, c)} == {"counter, by device-seconds"}


def test_ranks_on_several_nodes_have_the_joules_of_all_of_them(ledger: Ledger, plan: Plan) -> None:
    for host in ("n1", "n2"):
        node(ledger, host)
    trial = plan.trials[0]
    launch(ledger, "p", 10, 30, [(10.0, "training", [trial.key], 0)], hosts=("n1", "n2"))
    finish(ledger, trial, 0.75)
    assert found(ledger, plan).trials[trial.digest].energy_j == pytest.approx(2 * 20 * WATTS)
    assert found(ledger, plan).nodes_j == pytest.approx({"n1": 20 * WATTS, "n2": 20 * WATTS})
    (ledger.directory / "energy" / "0000001-n2.json").unlink()
    assert found(ledger, plan).trials[trial.digest].energy_j is None, "half of it is not a measurement"
    assert study_j(ledger.directory) is None


def test_a_meter_that_dies_half_way_leaves_none_from_there_on_and_it_is_said(ledger: Ledger, plan: Plan) -> None:
    node(ledger, "n1", until_s=30, died="/sys/...: gone")
    before, across, after = plan.trials[:3]
    launch(ledger, "p", 0, 20, [(0.0, "training", [before.key], 0)])
    launch(ledger, "q", 20, 40, [(20.0, "training", [across.key], 0), (28.0, "inference", [across.key], 10)])
    launch(ledger, "r", 40, 50, [(40.0, "training", [after.key], 0)])
    for trial in (before, across, after):
        finish(ledger, trial, 0.75)
    energy = found(ledger, plan)
    assert energy.trials[before.digest].energy_j == pytest.approx(20 * WATTS)
    assert energy.trials[across.digest].phases_j == {"training": pytest.approx(8 * WATTS), "inference": None}
    assert energy.trials[across.digest].energy_j is None
    assert energy.trials[after.digest].phases_j == {"training": None}
    assert energy.died == ("the meter of n1 could not be read any longer: /sys/...: gone",)
    assert study_j(ledger.directory) is None


def test_all_attempts_count_and_one_that_was_lost_leaves_none(ledger: Ledger, plan: Plan) -> None:
    node(ledger, "n1")
    node(ledger, "n1", run=2)
    resumed, lost = plan.trials[:2]
    launch(ledger, "p", 0, 10, [(0.0, "training", [resumed.key], 0)], cause="stopped")
    ledger.files(resumed).append("started", host="n1", pack="p")
    launch(ledger, "p", 20, 25, [(20.0, "training", [resumed.key], 0)], run=2)
    finish(ledger, resumed, 0.75)
    save_run(ledger.directory, RunUse(1, 0.0, 38.0))
    launch(ledger, "q", 30, None, [(30.0, "training", [lost.key], 0)])
    ledger.files(lost).append("started", host="n1", pack="q")
    launch(ledger, "q", 40, 50, [(40.0, "training", [lost.key], 0)], run=2)
    finish(ledger, lost, 0.75)
    trials = found(ledger, plan).trials
    assert trials[resumed.digest].energy_j == pytest.approx(15 * WATTS)
    assert trials[resumed.digest].window_s == 15
    assert lost.digest not in trials
    assert study_j(ledger.directory) == pytest.approx((10 + 5 + 8 + 10) * WATTS), "what was lost counts all the same"


def test_a_record_that_stops_without_a_word_is_no_measurement(ledger: Ledger, plan: Plan) -> None:
    node(ledger, "n1", until_s=30)
    launch(ledger, "p", 0, 60, [(0.0, "training", [plan.trials[0].key], 0)])
    assert study_j(ledger.directory) == pytest.approx(30 * WATTS), "the record may be some seconds behind"
    launch(ledger, "q", 60, 95, [])
    assert study_j(ledger.directory) is None


def test_before_anything_was_read_nothing_was_spent(ledger: Ledger) -> None:
    assert study_j(ledger.directory) == 0.0
    recorder = Recorder(ledger.directory, 1, "n1", Counting(until=1000))
    recorder.start(idle_s=0.0)
    launch(ledger, "p", time.time(), None, [])
    assert study_j(ledger.directory) == 0.0, "work begins after the first reading"
    recorder.stop()


def test_a_pack_whose_gpu_is_not_counted_leaves_node_and_budget_unknown(ledger: Ledger, plan: Plan) -> None:
    node(ledger, "n1")
    launch(ledger, "p", 0, 10, [(0.0, "training", [plan.trials[0].key], 0)])
    (lines,) = ledger.directory.glob("usage/*.jsonl")
    lines.write_text(lines.read_text().replace('"gpus": []', '"gpus": ["0"]'))
    assert found(ledger, plan).nodes_j == {"n1": None}
    assert study_j(ledger.directory) is None


def test_lines_that_a_full_disk_has_cut_cost_what_they_told_and_no_more(ledger: Ledger, plan: Plan) -> None:
    node(ledger, "n1")
    first, second = plan.trials[:2]
    for trial, begin in ((first, 0), (second, 20)):
        launch(ledger, f"p{begin}", begin, begin + 10, [(float(begin), "training", [trial.key], 0)])
        finish(ledger, trial, 0.75)
    trace = ledger.directory / "energy" / "0000001-n1.csv"
    trace.write_text(trace.read_text().replace("\n15,", "\n15,garb\n"))
    for file in (ledger.directory / "packs" / "p0" / "phases.jsonl", *ledger.directory.glob("usage/*p0.jsonl")):
        file.write_text('{"time_s": 0.0, "pha' + file.read_text() + '{"time')
    assert found(ledger, plan).trials.keys() == {second.digest}
    assert found(ledger, plan).trials[second.digest].energy_j == pytest.approx(10 * WATTS)


def test_embeddings_hold_the_gpus_that_the_driver_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    for gpus, named in ((2, ("2", "3")), (0, ())):
        with embedding(tmp_path, 1, 4, gpus, 300):
            pass
        (held,) = packs_used(tmp_path)[-1].hosts.values()
        assert (held.cores, held.gpus) == (4, named)


def test_columns_of_costs(ledger: Ledger, plan: Plan) -> None:
    node(ledger, "n1")
    trial = plan.trials[0]
    launch(ledger, "p", 0, 60, [(0.0, "training", [trial.key], 0), (50.0, "inference", [trial.key], 1000)])
    finish(ledger, trial, 0.75)
    line = costs(ledger.record(trial), found(ledger, plan), grid_g_per_kwh=400.0)
    assert line["energy_j"] == pytest.approx(3600)
    assert line["energy_kwh"] == pytest.approx(0.001)
    assert line["co2_g"] == pytest.approx(0.4)
    assert line["j_per_point"] == pytest.approx(3600 / 25), "of 25 points above guessing"
    assert line["inference_j_per_sentence"] == pytest.approx(0.6)
    assert line["evaluation_j"] is None
    assert costs(ledger.record(trial), found(ledger, plan))["co2_g"] is None, "no grid is assumed"


def test_what_slurm_counts_is_set_beside(ledger: Ledger) -> None:
    for host in ("n1", "n2"):
        node(ledger, host, until_s=100)
    node(ledger, "n1", until_s=50, run=2)
    runs = [RunUse(1, 0.0, 100.0, job="17"), RunUse(2, 200.0, 250.0, job="18"), RunUse(3, 300.0, 310.0)]
    assert cross_checks(runs, recordings(ledger.directory), {"17": 12500.0, "18": None}.get) == (
        "Slurm's accounting has 12.5 kJ for job 17, of its nodes as a whole; our meters counted 12 kJ on 2 nodes while they ran.",
    )


class Counting:
    """A meter that counts a joule for each reading, and dies after some."""

    method: Method = "counter"
    counters: tuple[Counter, ...] = (PACKAGE,)

    def __init__(self, until: int) -> None:
        self.readings, self.until = 0, until

    def read(self) -> tuple[float, ...]:
        if self.readings >= self.until:
            raise MeterError("gone")
        self.readings += 1
        return (float(self.readings),)


@pytest.mark.alone
def test_a_recorder_keeps_readings_idle_watts_and_its_own_death(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 3, "n1", Counting(until=4))
    assert not is_ready(tmp_path, 3, "n1")
    recorder.start(idle_s=0.2)
    assert is_ready(tmp_path, 3, "n1")
    time.sleep(1.6)
    recorder.stop()
    (kept,) = recordings(tmp_path)
    assert kept.idle_w == pytest.approx((1 / 0.2,), rel=0.2)
    assert kept.trace.joules[:, 0].tolist() == [0.0, 1.0, 2.0], "the idle window's last reading is the first one kept"
    assert kept.died == "gone"
    assert kept.trace.counters == (PACKAGE,)


@pytest.mark.alone
def test_a_second_recorder_of_a_node_goes_on_with_the_first_ones_record(tmp_path: Path) -> None:
    for _ in range(2):
        recorder = Recorder(tmp_path, 1, "n1", Counting(until=1000))
        begin = time.monotonic()
        recorder.start(idle_s=0.3)
        waited = time.monotonic() - begin
        recorder.stop()
    assert waited < 0.2, "the node is busy by now: its baseline is the first one's"
    (kept,) = recordings(tmp_path)
    assert kept.idle_w is not None
    assert len(kept.trace.times_s) >= 2


def test_a_node_without_a_meter_says_so_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 1, "n1", None)
    recorder.start()
    recorder.stop()
    assert is_ready(tmp_path, 1, "n1")
    assert recordings(tmp_path)[0].method is None


@pytest.mark.alone
def test_metering_takes_less_than_a_hundredth_of_a_ten_second_pack(tmp_path: Path) -> None:
    for package in range(2):
        inner = zone(tmp_path / POWERCAP / f"intel-rapl:{package}", f"package-{package}", 1_000_000)
        zone(inner / f"intel-rapl:{package}:0", "dram", 1_000_000)
    files = [TrialFiles(tmp_path / f"r{number:02d}-s00-0123456789ab") for number in range(32)]
    recorder = Recorder(tmp_path, 1, "n1", Powercap(Host({}, tmp_path), {"cpu"}))
    recorder.start(idle_s=0.0)
    wall, cpu = time.monotonic(), time.process_time()
    time.sleep(3.0)
    recording = (time.process_time() - cpu) / (time.monotonic() - wall)
    recorder.stop()
    phases, cpu = Phases(tmp_path), time.process_time()
    for _ in range(200):
        phases.begin("training", files)
        phases.begin("evaluation", files, 38)
    phases.end()
    epochs_s = time.process_time() - cpu
    assert recording < 0.005, "of a core, for the whole node"
    assert epochs_s < 0.05, "for the 200 epochs of such a pack"
