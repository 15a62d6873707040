"""Trials of several MPI ranks as steps of a real Slurm job: numbers as on one machine, beside trials of one process, through lost ranks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from hadamard.model.mpi.heartbeat import RankStatus, read_status
from hadamard.orchestrator.energy.attribution import study_energy
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.ledger.reopen import reopen
from tests.slurm_lab.jobs import Desk, Progress, assert_each_trial_once
from tests.slurm_lab.lab import Lab
from tests.support.metered import constant_trace, held_s
from tests.support.studies import TINY, write_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.filterwarnings("ignore")]  # four share two cores

MIXED = (
    TINY.replace("study: tiny", "study: mixed")
    .replace("head.qubits: [2, 3]", "mpi.ranks: [1, 4]")
    .replace("qubits: 3", "qubits: 5")
    .replace("baselines: [logistic]\n", "")
)
LONG = (
    MIXED.replace("study: mixed", "study: long")
    .replace("  mpi.ranks: [1, 4]\n", "")
    .replace("factors:", "mpi: {ranks: 4}\nfactors:")
    .replace("epochs: 3", "epochs: 400")
    .replace("splits: 2", "splits: 1")
)
ON_FOUR_CORES = """
import sys
from hadamard.cluster.allocation import Allocation
from hadamard.orchestrator import cli
from hadamard.orchestrator.commands import run
run.detect = lambda: Allocation(4, 12 * 2**30, 0, "the test")
cli.main()
"""
"""`hadamard` on a machine that claims to have a core for each rank."""


@pytest.fixture
def desk(lab: Lab, embedded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A user's place on the login node."""
    monkeypatch.chdir(tmp_path)
    return Desk(lab, tmp_path)


def words(progress: Progress) -> list[RankStatus]:
    """Return what the ranks that run now say of themselves."""
    found = [read_status(file.read_text()) for file in sorted(progress.directory.glob("packs/*/ranks/*/[0-9]"))]
    return [word for word in found if word is not None and word.met]


@pytest.mark.nodes(2)
@pytest.mark.takes(3)
def test_trials_of_one_process_and_of_four_ranks_share_two_nodes_with_the_numbers_of_one_machine(desk: Desk, nodes: list[str]) -> None:
    study, progress = write_study(desk.directory, MIXED), Progress(Path("runs/mixed"))
    watts = dict(zip(nodes, (10.0, 30.0), strict=True))
    for host, of_host in watts.items():
        constant_trace(desk.directory / f"{host}.csv", of_host)
    job = desk.sbatch(study, nodes, HADAMARD_ENERGY="replay:{host}.csv")
    seen: list[RankStatus] = []

    def ended() -> bool:
        seen[:] = seen or (words(progress) if len(words(progress)) == 4 else [])
        return desk.lab.state(job) not in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING")

    desk.wait_for(ended, 600, "the job's end")
    assert desk.lab.state(job) == "COMPLETED", desk.log(job)
    assert [word.host for word in seen] in ([nodes[0]] * 2 + [nodes[1]] * 2, [nodes[1]] * 2 + [nodes[0]] * 2)
    assert len({word.step for word in seen}) == 1
    assert progress.causes() == {}
    assert_each_trial_once(progress, 8, "mixed")
    here = ["run", str(study), "--dir", "local/mixed", "--no-dashboard"]
    done = subprocess.run([sys.executable, "-c", ON_FOUR_CORES, *here], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    tables = [pandas.read_csv(where / "report" / "results.csv") for where in (progress.directory, Path("local/mixed"))]
    pandas.testing.assert_frame_equal(*tables, rtol=0, atol=1e-5)
    counted = {host: of_host * held_s(progress.directory, host) for host, of_host in watts.items()}
    energy = study_energy(progress.directory, Ledger(progress.directory).records(reopen(progress.directory)[1].trials))
    assert energy.nodes_j == pytest.approx(counted, rel=1e-3)
    joules = pandas.read_csv(progress.directory / "report" / "costs.csv").set_index("key")["energy_j"]
    assert joules.notna().all(), "of ranks on two nodes, the joules of both"
    assert joules.sum() == pytest.approx(sum(counted.values()), rel=1e-3)


@pytest.mark.nodes(2)
@pytest.mark.takes(5)
def test_a_killed_rank_and_a_stopped_one_are_noticed_within_a_minute_and_the_trial_is_done_after_all(desk: Desk, nodes: list[str]) -> None:
    study, progress = write_study(desk.directory, LONG), Progress(Path("runs/long"))
    job = desk.sbatch(study, nodes)

    def strike(signal: str, select: Callable[[list[RankStatus]], RankStatus], cause: str) -> None:
        desk.wait_for(lambda: len(words(progress)) == 4 and bool(progress.in_training), 240, f"training before {cause}")
        ranks = words(progress)
        assert {word.host for word in ranks} == set(nodes)
        chosen = select(ranks)
        began_ms = time.time() * 1000
        assert desk.lab.run_on(chosen.host, "kill", f"-{signal}", str(chosen.pid)).returncode == 0
        desk.wait_for(lambda: progress.causes()[cause] > 0, 90, f"notice of {cause}")
        noticed_ms = [event["time_ms"] for events in progress.journals.values() for event in events if event.get("cause") == cause]
        assert max(noticed_ms) - began_ms < 60_000
        desk.wait_for(lambda: {word.pid for word in words(progress)}.isdisjoint({chosen.pid}), 30, "the end of that launch")

    strike("KILL", lambda ranks: next(word for word in ranks if word.host == nodes[1]), "killed")
    strike("STOP", lambda ranks: ranks[-1], "hanging")
    assert desk.ended(job, 600) == "COMPLETED", desk.log(job)
    assert set(progress.causes()) == {"killed", "hanging"}
    assert_each_trial_once(progress, 2, "long")


@pytest.mark.nodes(3)
@pytest.mark.takes(3)
def test_ranks_whose_node_is_lost_go_on_on_those_that_are_left(desk: Desk, nodes: list[str]) -> None:
    study, progress = write_study(desk.directory, LONG), Progress(Path("runs/long"))
    job = desk.sbatch(study, nodes)
    desk.wait_for(lambda: len(words(progress)) == 4 and bool(progress.in_training), 240, "training")
    before = words(progress)
    lost = next(word.host for word in before if word.host != nodes[0])
    desk.lab.crash(lost)
    desk.wait_for(lambda: bool(progress.causes()), 90, "notice of the lost node")
    assert desk.ended(job, 600) == "COMPLETED", desk.log(job)
    assert set(progress.causes()) <= {"hanging", "killed", "node lost"}
    assert_each_trial_once(progress, 2, "long")
