"""What the tests on a real Slurm cluster share: one lab for the whole run, and nodes that no other test uses.

The lab is as large as the tests that were chosen need together, so that each may crash its nodes. The first test brings it up, in whichever
of pytest-xdist's processes that is; the process that the user started takes it down at the end, also after Ctrl-C.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from rich.console import Console

from hadamard.cluster.allocation import detect
from hadamard.orchestrator.execution.driver import embed
from hadamard.orchestrator.study.expansion import read_plan
from tests.conftest import ROOT
from tests.slurm_lab.lab import Lab, why_not
from tests.support.alone import alone
from tests.support.studies import TINY, write_study

HERE = Path(__file__).parent
NUMBERS = range(100, 150)
"""Of labs for test runs; those below are for use by hand."""
LAB, RESERVED, NODES = pytest.StashKey[Lab](), pytest.StashKey[IO[str]](), pytest.StashKey[list[str]]()
NODES_IN_ALL = pytest.StashKey[int]()


def up_lock(lab: Lab) -> Path:
    return Path(f"/tmp/{lab.directory.name}-up.lock")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slurm: runs on a real Slurm cluster (tests/slurm_lab/lab.py)")
    config.addinivalue_line("markers", "nodes(count): this number of nodes of that cluster are this test's own")
    config.addinivalue_line("markers", "takes(minutes): about so long, beside three others on two cores; the longest begin first")
    if worker := getattr(config, "workerinput", None):
        config.stash[LAB] = Lab(worker["lab"])
        return
    for number in NUMBERS:  # two test runs at once get two labs; the kernel gives a number back when its process ends
        reserved = open(f"/tmp/hlab{number}.lock", "w")  # noqa: SIM115
        try:
            fcntl.flock(reserved, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reserved.close()
            continue
        config.stash[LAB], config.stash[RESERVED] = Lab(number), reserved
        config.stash[LAB].down()  # what a killed run left there
        return
    raise pytest.UsageError(f"{len(NUMBERS)} test runs hold a Slurm lab already")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of pytest-xdist which lab is this run's."""
    node.workerinput["lab"] = node.config.stash[LAB].number


def pytest_unconfigure(config: pytest.Config) -> None:
    if reserved := config.stash.get(RESERVED, None):
        config.stash[LAB].down()
        up_lock(config.stash[LAB]).unlink(missing_ok=True)
        reserved.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("slurm")
    if worker := getattr(config, "workerinput", None):
        items[:] = dealt(items, worker["workercount"])


def dealt(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Order tests for `--dist worksteal`, which cuts them into a piece for each process: in each the longest first, all about as long."""

    def minutes(item: pytest.Item) -> float:
        marker = item.get_closest_marker("takes")
        return float(marker.args[0]) if marker else 0.0

    longest_first = sorted(items, key=minutes, reverse=True)
    rounds = [longest_first[at : at + processes] for at in range(0, len(items), processes)]
    for back in rounds[1::2]:
        back.reverse()
    return [tests[number] for number in reversed(range(processes)) for tests in rounds if number < len(tests)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Deal out the nodes: n1, n2, ... in the order of the tests, which is the same in all processes."""
    numbers = itertools.count(1)
    total = 0
    for item in session.items:
        if marker := item.get_closest_marker("nodes"):
            item.stash[NODES] = [f"n{next(numbers)}" for _ in range(marker.args[0])]
            total += len(item.stash[NODES])
    session.config.stash[NODES_IN_ALL] = total


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Lab:
    """The cluster, up."""
    if reason := why_not():
        pytest.skip(reason)
    lab = pytestconfig.stash[LAB]
    with alone(up_lock(lab)):
        if not lab.is_up():
            lab.up(max(1, pytestconfig.stash[NODES_IN_ALL]))
    return lab


@pytest.fixture
def nodes(request: pytest.FixtureRequest, lab: Lab) -> Iterator[list[str]]:
    """Names of the nodes that are this test's own, by its marker `nodes(count)`; name them to Slurm with --nodelist.

    When it ends, its jobs are cancelled, and its nodes crash: what it started there ends with it.
    """
    if NODES not in request.node.stash:
        raise pytest.UsageError(f"{request.node.nodeid} uses `nodes` and has no @pytest.mark.nodes(count)")
    mine = request.node.stash[NODES]
    yield mine
    lab.clear(mine)


@pytest.fixture(autouse=True)
def login_node(clean_environment: None, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that a test starts speak to this cluster; its directory `tmp_path` is on the file system that all nodes share."""
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def embedded(embedding_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache, with what the quickstart and tests.support.studies.TINY embed: jobs against the clock need not compute it."""
    os.environ |= {"HADAMARD_CACHE": str(embedding_cache), "HF_HUB_OFFLINE": "1"}
    with alone(embedding_cache / "embeddings" / "embedded.lock"):
        for study in (ROOT / "configs" / "quickstart.yaml", write_study(tmp_path_factory.mktemp("tiny"), TINY)):
            embed(read_plan(study, []).trials, detect(), Console(quiet=True))
    return embedding_cache
