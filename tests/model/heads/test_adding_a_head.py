"""The heads of docs/extending/heads.md, added to a copy of the package by a file and a line each: planned and trained for real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.documented import extend_as_documented
from tests.support.extended import Extended

STUDY = """\
study: own-heads
data: {name: reviews, sentences: 300, train_per_class: 64}
head: {kind: squares}
training: {epochs: 30, batch: 16, lr: 0.01}
factors: {head.initial: [0.01, 0.1]}
design: {kind: full_factorial, splits: 2}
baselines: [{name: centroid, head: {kind: centroid}}]
"""
DIMENSION = 384


@pytest.mark.slow
def test_the_heads_of_the_page_are_planned_and_trained(tmp_path: Path) -> None:
    extended = Extended(tmp_path / "copy")
    assert len(extend_as_documented(extended, "heads.md")) == 2
    (tmp_path / "study.yaml").write_text(STUDY)
    done = extended.python(
        str(ROOT / "tests" / "support" / "planned_and_trained.py"), str(tmp_path / "study.yaml"), str(tmp_path / "trials")
    )
    assert done.returncode == 0, done.stderr
    plan, results = done.stdout[: done.stdout.rindex("[{")], json.loads(done.stdout[done.stdout.rindex("[{") :])
    assert "head.initial" in plan
    assert "centroid" in plan
    rows, baselines = [one for one in results if one["arm"] != "centroid"], [one for one in results if one["arm"] == "centroid"]
    assert (len(rows), len(baselines)) == (4, 2)
    assert {one["parameters"] for one in rows} == {(2 * DIMENSION + 1) * 2}
    assert {one["parameters"] for one in baselines} == {2 * DIMENSION}
    assert all(one["responses"]["test_accuracy"] > 0.65 for one in results), "sentences are told apart"
