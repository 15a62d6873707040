"""Study files: every problem at once, each with file:line, and overrides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.orchestrator.study.file import StudyError, StudyFile
from hadamard.orchestrator.study.schema import Study, with_values
from hadamard.orchestrator.study.validation import study_of

GOOD = """\
study: tiny
seed: 3
data: {name: reviews, sentences: 300, train_per_class: 20}
head: {kind: quantum, qubits: 4, reduction: pca}
training:
  epochs: 2
  lr: 0.01
factors:
  head.qubits: [3, 4]
  training.lr: {low: 0.01, high: 0.1, scale: log}
design: {kind: full_factorial, splits: 2}
baselines: [logistic, {kind: mlp, hidden: 8}]
"""


def write(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(content)
    return path


def load(path: Path, overrides: Sequence[str] = ()) -> Study:
    return study_of(StudyFile.read(path, overrides))


def problems(tmp_path: Path, content: str, *overrides: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        load(write(tmp_path, content), overrides)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_a_good_study_loads(tmp_path: Path) -> None:
    study = load(write(tmp_path, GOOD))
    assert isinstance(study.head, QuantumHead)
    assert [factor.path for factor in study.factor_list()] == ["head.qubits", "training.lr"]
    assert study.factor_list()[1].at(0) == pytest.approx(0.0316227766)
    assert list(study.baseline_heads()) == ["logistic", "mlp"]
    assert Study.model_validate_json(study.model_dump_json()) == study


def test_the_study_json_of_a_directory_is_a_study_file(tmp_path: Path) -> None:
    study = load(write(tmp_path, GOOD))
    saved = tmp_path / "study.json"
    saved.write_text(json.dumps({"study": study.model_dump(mode="json"), "trials": ["r00-s00-0123"], "provenance": {}}, indent=1))
    assert load(saved) == study
    assert load(saved, ["design.splits=7"]).design.splits == 7
    line = 1 + [text.strip() for text in saved.read_text().splitlines()].index('"splits": 2,')
    saved.write_text(saved.read_text().replace('"splits": 2,', '"splits": 0,'))
    with pytest.raises(StudyError, match=rf"study\.json:{line}: design\.splits: "):
        load(saved)


def test_every_problem_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    content = (
        GOOD.replace("seed: 3", "seed: three")
        .replace("qubits: 4", "qubitz: 4")
        .replace("  epochs: 2", "  epochs: 0")
        .replace("splits: 2", "splits: -1")
    )
    found = problems(tmp_path, content)
    assert len(found) == 4
    assert any(line.startswith("study.yaml:2: seed: input should be a valid integer") for line in found)
    assert any(line.startswith("study.yaml:4: head.qubitz: unknown key. Did you mean qubits?") for line in found)
    assert any(line.startswith("study.yaml:6: training.epochs: input should be greater than or equal to 1") for line in found)
    assert any(line.startswith("study.yaml:11: design.splits") for line in found)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[3, 4]", "[]", "study.yaml:9: factors.head.qubits: a factor needs at least two levels, this has 0"),
        ("[3, 4]", "[3]", "study.yaml:9: factors.head.qubits: a factor needs at least two levels, this has 1"),
        ("[3, 4]", "[3, 3]", "a level is given twice"),
        ("[3, 4]", "[3, four]", "study.yaml:9: factors.head.qubits.1: level 'four': input should be a valid integer"),
        ("[3, 4]", "[3, 99]", "less than or equal to 46"),
        ("head.qubits: [3, 4]", "head.noise.shots: [0, exact]", "greater than or equal to 1 (given: 0); or 'exact'"),
        ("head.qubits", "head.qubit", "no such setting. Did you mean qubits? Choose from: kind, qubits"),
        ("head.qubits", "hed.qubits", "no such setting. Did you mean head?"),
        ("head.qubits", "head", "is a group of settings; a factor is one of them: kind, qubits"),
        ("low: 0.01", "low: 0.5", "low (0.5) must be below high (0.1)"),
        ("low: 0.01", "low: -1", "a log scale needs low above 0"),
        ("training.lr: {low", "head.merge: {low", "a range needs a numeric setting; list the levels instead"),
        ("study: tiny\n", "", "study.yaml:1: study: is missing"),
        ("seed: 3", "seed: true", "study.yaml:2: seed: input should be a valid integer (given: True)"),
        ("kind: full_factorial", "kind: full", "study.yaml:11: design: kind 'full' is not known."),
        ("kind: full_factorial, ", "", "study.yaml:11: design: needs a kind"),
        ("kind: quantum", "kind: quantun", "study.yaml:4: head: kind 'quantun' is not known. Did you mean quantum?"),
        ("study: tiny", "study: my study", "study.yaml:1: study: should be letters, digits"),
        ("[3, 4]", "3", "study.yaml:9: factors.head.qubits: should be a mapping"),
        ("low: 0.01", "lo: 0.01", "study.yaml:10: factors.training.lr.lo: unknown key. Did you mean low?"),
        ("head.qubits", "head.kind", "a study has one kind of head; compare others as baselines"),
        ("head.qubits", "design.splits", "design belongs to the study as a whole and cannot be a factor"),
        ("seed: 3", "seed: 3\nsimulator: lightnin.qubit", "study.yaml:3: simulator: 'lightnin.qubit' is not known. Did you mean lightning"),
        ("seed: 3", "seed: 3\nseed: 4", "study.yaml:3: not valid YAML"),
        ("seed: 3", "seed: [3", "not valid YAML"),
        ("[logistic,", "[logistik,", "study.yaml:12: baselines.0: kind 'logistik' is not known. Did you mean logistic?"),
        ("hidden: 8", "hiden: 8", "study.yaml:12: baselines.1.hiden: unknown key. Did you mean hidden?"),
    ],
)  # fmt: skip
def test_bad_input_is_named(tmp_path: Path, old: str, new: str, expected: str) -> None:
    found = problems(tmp_path, GOOD.replace(old, new))
    assert len(found) <= 2, found
    assert any(expected in line for line in found), found


def test_no_factors(tmp_path: Path) -> None:
    content = "\n".join(line for line in GOOD.splitlines() if not line.startswith("  head.qubits") and "training.lr" not in line)
    assert any("no factors" in line for line in problems(tmp_path, content.replace("factors:", "factors: {}")))


def test_a_head_without_kind_is_quantum(tmp_path: Path) -> None:
    assert load(write(tmp_path, GOOD.replace("kind: quantum, ", ""))) == load(write(tmp_path, GOOD))


def test_overrides_are_applied_before_checking_and_named_in_errors(tmp_path: Path) -> None:
    study = load(write(tmp_path, GOOD), ["training.epochs=7", "data.name=reviews", "factors.head.qubits=[2, 4]"])
    assert study.training.epochs == 7
    assert study.factor_list()[0].levels == (2, 4)
    assert problems(tmp_path, GOOD, "training.epochs=many")[0].startswith(
        "--set training.epochs=many: training.epochs: input should be a valid integer"
    )
    assert "write it as path.to.key=value" in problems(tmp_path, GOOD, "training.epochs")[0]
    assert problems(tmp_path, GOOD, "training.epoch=3")[0].startswith(
        "--set training.epoch=3: training.epoch: unknown key. Did you mean epochs?"
    )
    for override in ("design.splits=0", "design.kind=placket_burman", "head.kind=quantun", "trianing.epochs=5", "factors.head.qubits=[3]"):
        assert problems(tmp_path, GOOD, override)[0].startswith(f"--set {override}: ")


def test_a_missing_file_and_a_file_that_is_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    assert "a study is a mapping" in problems(tmp_path, "- a\n- b\n")[0]


def test_with_values_changes_only_what_it_names(tmp_path: Path) -> None:
    settings = load(write(tmp_path, GOOD)).settings
    changed = with_values(settings, {"head.qubits": 3, "training.lr": 0.5})
    assert isinstance(changed.head, QuantumHead)
    assert changed.head.qubits == 3
    assert changed.training == settings.training.model_copy(update={"lr": 0.5})
    assert changed.data == settings.data


WRITTEN_ROWS = (
    GOOD[: GOOD.index("factors:")]
    + """\
factors:
  head.qubits: [4, 6]
design:
  kind: explicit
  rows:
    - {head.qubits: 4, head.layers: 2}
    - {head.qubits: 6, head.layers: 1}
"""
)


def test_rows_written_by_hand_may_set_more_than_their_factors(tmp_path: Path) -> None:
    assert load(write(tmp_path, WRITTEN_ROWS)).design.rows[1] == {"head.qubits": 6, "head.layers": 1}  # type: ignore[union-attr]
    for wrong, words in (
        ("head.layers: 1", "head.layer: 1"),
        ("head.layers: 1", "head.layers: -1"),
        (", head.layers: 1", ""),
    ):
        found = problems(tmp_path, WRITTEN_ROWS.replace(wrong, words))
        assert any("study.yaml:" in line and ("layer" in line or "sets other settings" in line) for line in found), found
