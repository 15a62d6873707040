"""The format of docs/extending/corpus-formats.md, added to a copy of the package by a file and a line: planned and trained for real."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hadamard.model.data.grammar import write
from tests.conftest import ROOT
from tests.support.documented import extend_as_documented
from tests.support.extended import Extended

STUDY = """\
study: own-format
data: {{name: mine, path: '{path}', train_per_class: 32}}
head: {{kind: mlp, hidden: 0}}
training: {{epochs: 10, batch: 16}}
factors: {{training.lr: [0.01, 0.1]}}
design: {{kind: full_factorial, splits: 2}}
"""


@pytest.mark.slow
def test_the_format_of_the_page_is_planned_and_trained(tmp_path: Path) -> None:
    extended = Extended(tmp_path / "copy")
    assert len(extend_as_documented(extended, "corpus-formats.md")) == 1
    corpus = tmp_path / "mine.csv"
    with open(corpus, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text", "label"])
        rows.writerows([number, text, label] for number, (text, label) in enumerate(write(300, 0.2, seed=3)))
    (tmp_path / "study.yaml").write_text(STUDY.format(path=corpus))
    program = str(ROOT / "tests" / "support" / "planned_and_trained.py")
    done = extended.python(program, str(tmp_path / "study.yaml"), str(tmp_path / "trials"))
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout[done.stdout.rindex("[{") :])
    assert len(results) == 4
    assert all(one["responses"]["test_accuracy"] > 0.65 for one in results)
    corpus.write_text("text,label\ngood,1\nonly a text\nbad,7\n")
    load = "import sys; from hadamard.model.data.corpus import load_corpus; from hadamard.model.settings import Data"
    refused = extended.python("-c", f"{load}; load_corpus(Data(name='mine', path=sys.argv[1]))", str(corpus))
    assert "DataError: 2 malformed line(s)" in refused.stderr
    assert f"{corpus}:3: too few columns" in refused.stderr
    assert f"{corpus}:4: the label is '7', not 0 or 1" in refused.stderr
