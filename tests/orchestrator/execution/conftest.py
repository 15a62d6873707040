"""One whole run that other tests compare theirs with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.alone import alone
from tests.support.studies import write_study
from tests.support.whole_runs import LONGER, run


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, embedding_cache: Path) -> Path:
    """The longer tiny study, run without disturbance: once, also where several processes share the tests."""
    os.environ["HADAMARD_CACHE"] = str(embedding_cache)
    base = tmp_path_factory.getbasetemp()
    parent = (base.parent if hasattr(pytestconfig, "workerinput") else base) / "undisturbed"
    parent.mkdir(exist_ok=True)
    with alone(parent / "lock"):
        if not (parent / "complete").exists():
            code, output = run(write_study(parent, LONGER), parent / "run")
            assert code == 0, output
            (parent / "complete").touch()
    return parent / "run"
