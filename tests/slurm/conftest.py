"""What the tests on a real Slurm cluster share: one lab for the whole run, and nodes that no other test uses.

The lab is as large as the tests that were chosen need together, so that each may crash its nodes. The first test brings it up, in whichever
of pytest-xdist's processes that is; the process that the user started takes it down at the end, also after Ctrl-C.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from orchestrator.plan import read_plan
from tests.conftest import ROOT
from tests.slurm.lab import Lab, why_not
from tests.studies import TINY, write_study

HERE = Path(__file__).parent
NUMBERS = range(100, 150)
"""Of labs for test runs; those below are for use by hand."""
LAB, RESERVED, NODES = pytest.StashKey[Lab](), pytest.StashKey[IO[str]](), pytest.StashKey[list[str]]()
NODES_IN_ALL = pytest.StashKey[int]()


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Hold a file's lock: the processes of a test run do something once, whoever comes first."""
    with open(file, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up_lock(lab: Lab) -> Path:
    return Path(f"/tmp/{lab.directory.name}-up.lock")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slurm: runs on a real Slurm cluster (tests/slurm/lab.py)")
    config.addinivalue_line("markers", "nodes(count): so many nodes of that cluster are this test's own")
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("slurm")


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


@pytest.fixture(scope="session")
def embedding_cache(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """One cache of embeddings for all processes of the run, on the shared file system."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if hasattr(pytestconfig, "workerinput") else base) / "cache"


@pytest.fixture(autouse=True)
def login_node(clean_environment: None, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that a test starts speak to this cluster; its directory `tmp_path` is on the file system that all nodes share."""
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def embedded(embedding_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache, with what the quickstart and tests.studies.TINY embed: jobs against the clock need not compute it."""
    embedding_cache.mkdir(parents=True, exist_ok=True)
    with alone(embedding_cache / "embedded.lock"):
        for study in (ROOT / "configs" / "quickstart.yaml", write_study(tmp_path_factory.mktemp("tiny"), TINY)):
            settings = read_plan(study, []).trials[0].settings
            command = [sys.executable, "-m", "model.embeddings", settings.model_dump_json(), "2"]
            environment = {**os.environ, "HADAMARD_CACHE": str(embedding_cache), "HF_HUB_OFFLINE": "1"}
            subprocess.run(command, env=environment, check=True)
    return embedding_cache
