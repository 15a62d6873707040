"""The simulator of docs/extending/simulators.md, added to a copy of the package by a file and a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.documented import extend_as_documented
from tests.support.extended import Extended
from tests.support.studies import TINY, write_study


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Extended:
    extended = Extended(tmp_path_factory.mktemp("extended") / "copy")
    assert extend_as_documented(extended, "simulators.md") == ["model/simulators/dense.py"]
    return extended


@pytest.mark.slow
def test_the_simulator_of_the_page_is_planned_and_trained_with(extended: Extended, tmp_path: Path) -> None:
    program, responses = str(ROOT / "tests" / "support" / "planned_and_trained.py"), {}
    for name in ("dense", "torch"):
        study = write_study(tmp_path, f"{TINY}simulator: {name}\n")
        done = extended.python(program, str(study), str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        plan, results = done.stdout[: done.stdout.rindex("[{")], json.loads(done.stdout[done.stdout.rindex("[{") :])
        assert f"{name}, asked for by name" in plan
        rows = [result for result in results if result["arm"] != "logistic"]
        assert {result["simulator"] for result in rows} == {name}
        responses[name] = [result["responses"]["train_loss"] for result in rows]
    assert responses["dense"] == pytest.approx(responses["torch"], abs=1e-4)


@pytest.mark.slow
def test_the_simulator_of_the_page_keeps_the_contract(extended: Extended) -> None:
    suite = str(ROOT / "tests" / "model" / "simulators" / "test_simulators.py")
    options = ["-q", "-n", "0", f"--rootdir={ROOT}", "-o", f"pythonpath={extended.root} {ROOT}"]  # the copy, with the checkout's tests
    done = extended.python("-m", "pytest", *options, suite, "-k", "[dense or -dense]")
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 30
