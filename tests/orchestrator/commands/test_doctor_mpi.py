"""`hadamard doctor --mpi`: real ranks by the launcher that is installed, and what is made of launchers that do something else."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from hadamard.cluster.launchers.registry import launcher_for
from hadamard.cluster.mpi import RankPlacement, known_library, launch_command
from hadamard.model.errors import UserError
from hadamard.orchestrator.commands.doctor import mpi, two_ranks
from hadamard.orchestrator.commands.doctor.check import check
from hadamard.orchestrator.commands.doctor.mpi import Start, read, short, starts
from hadamard.slurm.allocated import AllocatedResources
from tests.orchestrator.test_cli import hadamard

MPICH = "MPICH Version:      5.0.2\nMPICH Release date: Fri Sep 25 20:45:26 UTC 2026\n"
OPEN_MPI = "Open MPI v5.0.11, package: Open MPI root@here, ident: 5.0.11, repo rev: v5.0.11, Oct 17, 2026"
PLAIN = Start("mpiexec", ["mpiexec", "-n", "2"], {}, "take another")
WORLD, MESSAGES = {"world": 2}, {"what": "messages", "ok": True, "seen": "34 MB summed and exchanged, 4.1 GB/s each way", "fix": None}


def said(*lines: dict[str, object]) -> str:
    return "a banner of the site\n" + "".join(json.dumps(line) + "\n" for line in lines)


@pytest.mark.slow
def test_two_ranks_meet_exchange_and_simulate() -> None:
    done = hadamard("doctor", "--mpi", "--json")
    assert done.returncode == 0, done.stderr
    found = {one["what"]: one for one in json.loads(done.stdout)["checks"]}
    assert list(found) == ["mpi4py", "mpiexec", "sharded", "lightning.kokkos", "lightning.gpu"]
    assert short(known_library()) in found["mpi4py"]["seen"]
    rate = re.search(r"2 ranks of .*; 34 MB summed and exchanged, ([\d.]+) GB/s each way", found["mpiexec"]["seen"])
    assert rate is not None
    assert float(rate[1]) > 0
    assert found["sharded"]["ok"], found["sharded"]
    assert "on 2 ranks as on one" in found["sharded"]["seen"]
    assert "built without MPI" in found["lightning.kokkos"]["seen"]
    assert found["lightning.kokkos"]["fix"].startswith("Build it from source (docs/lightning-mpi.md, https://docs.pennylane.ai/")
    assert not found["lightning.gpu"]["ok"]


@pytest.mark.slow
def test_several_programs_of_one_rank_each_are_told_from_one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """As PMI-2 starts Open MPI: every process believes to be alone, and all end well."""
    twice = Start("twice", ["sh", "-c", '"$@" & "$@"; wait', "sh"], os.environ, "speak its language")
    monkeypatch.setattr(mpi, "starts", lambda known: iter([twice]))
    library, met = mpi.checks()
    assert library.ok
    assert not met.ok
    assert met.seen.startswith("starts 2 programs of 1 rank instead of one of 2: it does not speak the language of MPICH")
    assert met.fix == "speak its language"


@pytest.mark.parametrize(("mine", "other", "told"), [("", "", "mine"), ("rank 0's", "", "rank 0's"), ("", "rank 1's", "rank 1's")])
def test_what_one_rank_finds_wrong_is_an_answer(mine: str, other: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    class Rank0:
        rank = 0

        def gather(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
            return [answer, {**answer, "ok": not other, "seen": other, "fix": "its own"}]

    def attempt() -> str:
        if mine:
            raise UserError(f"{mine}. Do this")
        return "mine"

    two_ranks._answer(cast(Any, Rank0()), "sharded", attempt)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["seen"]) == (not (mine or other), told)
    assert answer["fix"] == ("Do this" if mine else "its own" if other else None)


def test_a_launcher_that_fails_or_starts_nothing_says_why() -> None:
    (met,) = read(PLAIN, "MPICH 5.0.2", "", "srun: error: unsupported PMI version PMIx\n")
    assert met == check("mpiexec", False, "starts no two ranks of MPICH 5.0.2: srun: error: unsupported PMI version PMIx", "take another")
    (lost,) = read(PLAIN, "MPICH 5.0.2", said(WORLD), "Shared memory error")
    assert lost.seen == "its ranks met, and no message arrived: Shared memory error"


def test_what_breaks_in_a_simulator_leaves_what_was_found_before() -> None:
    sharded = {"what": "sharded", "ok": True, "seen": "as on one", "fix": None}
    met, ours, ended = read(PLAIN, "MPICH 5.0.2", said(WORLD, MESSAGES, sharded), "Segmentation fault")
    assert (met.ok, ours.ok, ended.ok) == (True, True, False)
    assert ended.seen == "ended before all was tried: Segmentation fault"


@pytest.mark.parametrize(
    ("program", "complaint"),
    [("sleep 60 & wait", "it did not end within 3.2 s"), ("sleep 0.4; kill -ALRM $$", "a rank waited 0.2 s for the other")],
)
def test_ranks_that_do_not_end_are_ended(program: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpi, "LIMIT_S", 0.2)
    monkeypatch.setattr(mpi, "GRACE_S", 3.0)
    hanging = Start("hanging", ["sh", "-c", program, "sh"], os.environ, "none")
    monkeypatch.setattr(mpi, "starts", lambda known: iter([hanging]))
    _, met = mpi.checks()
    assert met.seen.endswith(complaint)


class TestLaunchers:
    def test_outside_a_job_there_is_mpiexec(self) -> None:
        (only,) = starts(MPICH)
        assert isinstance(only, Start)
        assert only.command[1:] == ["-launcher", "fork", "-n", "2"]

    @pytest.mark.parametrize(("library", "first", "second"), [(MPICH, "pmi2", "pmix"), (OPEN_MPI, "pmix", "pmi2")])
    def test_in_a_job_the_flavour_of_the_library_comes_first(
        self, library: str, first: str, second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "srun").touch(mode=0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(mpi, "own_job", lambda: "7")
        monkeypatch.setattr(mpi, "allocated", lambda job: {name: AllocatedResources(2, 0, None) for name in ("n1", "n2", "n3")})
        ways = starts(library)
        fits = next(ways)
        assert isinstance(fits, Start)
        assert Path(fits.environment["SLURM_HOSTFILE"]).read_text() == "n1\nn2\n", "there while ranks are started"
        other, plain = ways
        assert isinstance(other, Start)
        assert isinstance(plain, Start)
        assert (fits.name, other.name, plain.name) == (f"srun --mpi={first}", f"srun --mpi={second}", "mpiexec")
        places = RankPlacement(("n1", "n2"), "7", 2)
        assert fits.command == launch_command(places, [], library, 1), "as trials are started"
        assert other.command == [word.replace(first, second) for word in fits.command]
        assert {"--nodes=2", "--ntasks=2"} < set(fits.command)
        assert fits.fix == launcher_for("7", library).fix
        assert other.fix == f"no need: trials take srun --mpi={first}"

    @pytest.mark.parametrize(("nodes", "hosts"), [(["n4"], "n4\nn4\n"), ([], "own\nown\n")])
    def test_a_job_of_one_node_has_both_ranks_there(self, nodes: list[str], hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mpi, "own_job", lambda: "7")
        monkeypatch.setattr(mpi, "allocated", lambda job: {name: AllocatedResources(2, 0, None) for name in nodes})
        monkeypatch.setenv("SLURMD_NODENAME", "own")
        ways = starts(MPICH)
        first = next(ways)
        assert isinstance(first, Start)
        assert {"--nodes=1", "--ntasks=2"} < set(first.command)
        assert Path(first.environment["SLURM_HOSTFILE"]).read_text() == hosts

    def test_without_mpiexec_one_is_told_where_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def none() -> str:
            raise UserError("there is no mpiexec. Install it with: pip install 'hadamard[mpi]'")

        monkeypatch.setattr("hadamard.cluster.launchers.mpiexec.find_mpiexec", none)
        (only,) = starts(MPICH)
        assert only == check("mpiexec", False, "there is no mpiexec", "Install it with: pip install 'hadamard[mpi]'")


def test_without_mpi4py_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")  # as a Python that cannot load it
    (only,) = mpi.checks()
    assert not only.ok
    assert "MPI cannot be loaded here" in only.seen
    assert "pip install 'hadamard[mpi]'" in only.fix


def test_a_library_in_short() -> None:
    assert short(MPICH) == "MPICH 5.0.2"
    assert short(OPEN_MPI) == "Open MPI v5.0.11"
