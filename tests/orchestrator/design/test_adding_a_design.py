"""A kind of design is added by one file and one line, as the documents say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.documented import extend_as_documented
from tests.support.extended import Extended
from tests.support.studies import TINY, write_study

STUDY = (
    TINY.replace("head.qubits: [2, 3]", "training.weight_decay: {low: 0, high: 0.1}")
    .replace("training.lr: [0.02, 0.1]", "training.lr: {low: 0.01, high: 0.1, scale: log}\n  training.epochs: {low: 2, high: 6}")
    .replace("kind: full_factorial", "kind: box_behnken, centre_points: 1")
)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Extended:
    package = Extended(tmp_path_factory.mktemp("extended"))
    assert extend_as_documented(package, "designs.md") == ["orchestrator/design/kinds/box_behnken.py"]
    return package


def test_a_study_is_planned_with_the_new_kind(extended: Extended, tmp_path: Path) -> None:
    done = extended.python("-m", "hadamard", "plan", str(write_study(tmp_path, STUDY)), "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    coded = [tuple(round(value) for value in row["coded"]) for row in plan["rows"]]
    pairs = {(a, b, 0) for a in (-1, 1) for b in (-1, 1)}
    assert set(coded) == {*pairs, *((a, 0, b) for a, b, _ in pairs), *((0, a, b) for a, b, _ in pairs), (0, 0, 0)}
    assert coded[-1] == (0, 0, 0)
    assert {effect["label"] for effect in plan["power"]["smallest_effects"]} == {"training.weight_decay", "training.lr", "training.epochs"}


OTHERS = "Or choose another kind of design: "
THREE_LEVELS = STUDY.replace("high: 6", "high: 6, levels: 3").replace("box_behnken, centre_points: 1", "plackett_burman")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (
            STUDY.replace("{low: 2, high: 6}", "[2, 6]"),
            ("box_behnken takes numeric factors with a middle; training.epochs is not one of them", OTHERS),
        ),
        (STUDY.replace("  training.epochs: {low: 2, high: 6}\n", ""), ("box_behnken takes three factors or more, not 2", OTHERS)),
        (THREE_LEVELS, ("plackett_burman takes factors of two levels", OTHERS, "full_factorial, definitive_screening", "box_behnken.")),
        (
            STUDY.replace("box_behnken", "box_benken"),
            ("kind 'box_benken' is not known. Did you mean box_behnken? Choose from: full_factorial, ",),
        ),
    ],
)
def test_refusals_name_the_choices(extended: Extended, tmp_path: Path, content: str, parts: tuple[str, ...]) -> None:
    done = extended.python("-m", "hadamard", "plan", str(write_study(tmp_path, content)))
    assert done.returncode == 2
    assert all(part in done.stderr for part in parts), done.stderr
