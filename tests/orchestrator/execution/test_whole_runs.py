"""Whole runs over real Ray: a report, the same command again, more splits, a row that diverges."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hadamard.orchestrator.ledger.notices import notices
from hadamard.orchestrator.ledger.reopen import reopen
from tests.support.studies import TINY, write_study
from tests.support.whole_runs import TRIALS, mlflow_names, results, run, stamps, table

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_a_run_ends_with_results_report_and_mlflow(undisturbed: Path) -> None:
    assert results(undisturbed) == TRIALS
    assert table(undisturbed).count("\n") == TRIALS + 1
    page = (undisturbed / "report" / "report.html").read_text()
    assert "head.qubits" in page
    assert "not measured: switched off by HADAMARD_ENERGY=off" in page
    assert "the sweep has ended" in (undisturbed / "logs" / "driver.log").read_text()
    assert notices(undisturbed) == []
    assert len(mlflow_names(undisturbed)) == TRIALS + 1


def test_the_same_command_again_does_nothing_and_keeps_the_table(undisturbed: Path) -> None:
    before, journals = table(undisturbed), stamps(undisturbed)
    code, output = run(undisturbed.parent / "study.yaml", undisturbed)
    assert code == 0
    assert "to do:     0 trials" in output
    assert table(undisturbed) == before
    assert stamps(undisturbed) == journals


def test_relative_paths_are_the_commands_and_more_splits_keep_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{'a fine' if index % 2 else 'a dull'} film, number {index}\t{index % 2}" for index in range(80)]
    Path("mine.tsv").write_text("\n".join(["text\tlabel", *lines, ""]))
    write_study(tmp_path, TINY.replace("name: reviews, sentences: 300", "name: mine, path: mine.tsv").replace("splits: 2", "splits: 1"))
    code, output = run(Path("study.yaml"), Path("run"))
    assert code == 0, output
    assert results(tmp_path / "run") == 5
    before = stamps(tmp_path / "run")
    code, output = run(Path("study.yaml"), Path("run"), "--set", "design.splits=2")
    assert code == 0, output
    assert "to do:     5 trials" in output
    assert results(tmp_path / "run") == 10
    assert all(stamps(tmp_path / "run")[path] == stamp for path, stamp in before.items()), "more splits keep what is done"


def test_a_diverging_row_is_reported_and_the_others_are_done(tmp_path: Path) -> None:
    study, directory = write_study(tmp_path, TINY.replace("[0.02, 0.1]", "[0.02, 1.0e+30]")), tmp_path / "run"
    code, output = run(study, directory)
    assert code == 1
    assert "diverged" in output
    assert results(directory) == 10 - 4
    assert table(directory).count("diverged") == 4
    assert "diverged" in (directory / "report" / "report.html").read_text()
    ledger, plan = reopen(directory)
    assert not any(record.owed for record in ledger.records(plan.trials)), "the same settings would diverge again"


ASK_FOR_GPUS = """
import dataclasses, os, sys
from pathlib import Path
from hadamard.cluster.allocation import Allocation
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.budget import Budget
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.execution.driver import embed
from hadamard.orchestrator.execution.budget_guard import Limits
from hadamard.orchestrator.execution.ray_tune import ray_cluster, run_packs
from rich.console import Console
from tests.support.studies import entered, read

plan = read(Path(sys.argv[1]))
allocation = Allocation(2, 8 * 2**30, 2, "the test")
embed(plan.trials, allocation, Console())
first, *others = pack_up(plan.trials, allocation)
free = Limits(Budget(), None)
with ray_cluster(allocation, dashboard=False):
    run_packs(entered(Path(sys.argv[1]) / "run", plan), [dataclasses.replace(first, gpus=1), *others], "gpus", 1, free, metered=False)
print(first.id)
"""
TELL_WHAT_IS_SEEN = """
import os, sys
if "hadamard.model.train" in sys.orig_argv:
    masks = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")]
    open(os.environ["SEEN"], "a").write(f"{sys.orig_argv[3]} {masks[0]}.{masks[1]}\\n")
"""


def test_a_pack_that_asks_for_a_gpu_sees_the_one_that_ray_gives_and_the_others_none(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(TELL_WHAT_IS_SEEN)
    seen = tmp_path / "seen"
    places = {"PYTHONPATH": f"{tmp_path}:{os.getcwd()}", "SEEN": str(seen), "CUDA_VISIBLE_DEVICES": "4,7"}
    done = subprocess.run(
        [sys.executable, "-c", ASK_FOR_GPUS, str(tmp_path)], env={**os.environ, **places}, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    with_gpu = done.stdout.split()[-1]
    masks = {Path(line.split()[0]).name: line.split()[1] for line in seen.read_text().splitlines()}
    assert len(masks) > 1
    assert masks.pop(with_gpu) in ("4.None", "7.None")
    assert set(masks.values()) == {"."}
