"""`import hadamard`: what it promises, and that it is light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hadamard
from tests.support.studies import TINY, entered, read, write_study

PUBLIC = ["UserError", "__version__", "packaged_studies", "plan", "results"]
"""A name that is added here stays."""


def test_what_is_public_is_frozen_and_described() -> None:
    assert sorted(hadamard.__all__) == PUBLIC
    assert all(getattr(hadamard, name).__doc__ for name in PUBLIC)
    assert hadamard.__version__ == "0.1.0"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hadamard.nothing  # noqa: B018


def test_importing_it_loads_no_library() -> None:
    code = "import sys; before = set(sys.modules); import hadamard; print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert loaded - set(sys.stdlib_module_names) == {"hadamard"}


def test_a_study_is_planned(tmp_path: Path) -> None:
    study = hadamard.plan(str(write_study(tmp_path)), ["design.splits=3"])
    assert [factor.path for factor in study.design.factors] == ["head.qubits", "training.lr"]
    assert len(study.trials) == 3 * (4 + 1)
    assert "quickstart" in hadamard.packaged_studies()
    assert hadamard.plan("quickstart").study.study == "quickstart"
    with pytest.raises(hadamard.UserError, match="no packaged study"):
        hadamard.plan("no such study")


def test_results_are_the_table_of_the_report(tmp_path: Path) -> None:
    known = read(tmp_path, TINY)
    ledger = entered(tmp_path / "run", known)
    first = known.trials[0]
    done = {"responses": {"test_accuracy": 0.75}, "parameters": 9}
    (ledger.directory / "trials" / first.key / "result.json").write_text(json.dumps(done))
    table = hadamard.results(tmp_path / "run").set_index("key")
    assert list(table.index) == sorted(trial.key for trial in known.trials)
    assert table.loc[first.key, "test_accuracy"] == 0.75
    assert table["status"].value_counts().to_dict() == {"owed": len(known.trials) - 1, "done": 1}
    with pytest.raises(hadamard.UserError):
        hadamard.results(tmp_path / "nowhere")
