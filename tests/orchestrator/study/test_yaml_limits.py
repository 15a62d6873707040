"""Texts beyond the limits of a study file are refused at once, with their line; mutants of real ones end in a plan or a clear refusal."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hadamard.model.errors import UserError
from hadamard.orchestrator.cli import app
from hadamard.orchestrator.study.expansion import read_plan
from hadamard.orchestrator.study.file import StudyError, StudyFile
from tests.support.mutants import mutant
from tests.support.studies import TINY, write_study

MUTANTS = int(os.environ.get("HADAMARD_MUTANTS", "300"))
FULL = """\
study: full
seed: 3
data: {name: reviews, sentences: 200, train_per_class: 16, validation_fraction: 0.2}
sentence_encoder: {representation: frozen}
head: {kind: quantum, qubits: 3, reduction: pca, encoder_layers: 1, reuploads: 1, layers: 1, noise: {shots: 100, readout_error: 0.01}}
training: {epochs: 3, batch: 8, lr: 0.05, weight_decay: 0.0}
mpi: {ranks: 1}
factors:
  head.qubits: [2, 3]
  training.lr: {low: 0.01, high: 0.1, scale: log}
  head.layers: [1, 2]
design: {kind: fractional_factorial, resolution: 3, splits: 2, centre_points: 0}
tune:
  training.weight_decay: [0.0, 0.1]
selection: {folds: 2}
baselines:
  - logistic
  - {kind: svc, name: margin, C: 2.0}
budget: {wall: 1 h, energy: 2 kJ, trials: 100}
power: {effect: 0.3, sd: 0.02}
"""


def bomb(levels: int) -> str:
    """Nine aliases of nine aliases of ..."""
    lines = ["  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join(["tune:", *lines, ""])


def chain(levels: int) -> str:
    """Each alias one level above the one before."""
    return "tune:\n  b0: &b0 [x]\n" + "".join(f"  b{level}: &b{level} [*b{level - 1}]\n" for level in range(1, levels))


@pytest.mark.parametrize(
    ("added", "line", "reason"),
    [
        (bomb(9), 17, "more than 100,000 values, aliases counted as often as they are used"),
        (f"tune: {'[' * 5000}{']' * 5000}\n", 11, "nested deeper than 50 levels"),
        ("tune:\n" + "".join(f"{' ' * level}- \n" for level in range(1, 100)), 61, "nested deeper than 50 levels"),
        ("tune: &a [*a]\n", 11, r"the alias \*a stands for something that it is part of"),
        (chain(60), 60, "nested deeper than 50 levels, with"),
        ("tune: !!int abc\n", None, "a value is not what its type says"),
        ("tune: 2001-13-45\n", None, "a value is not what its type says"),
        ("tune: " + "1" * 5000 + "\n", None, "a value is not what its type says"),
    ],
    ids=["bomb", "brackets", "dashes", "itself", "aliases of aliases", "no number", "no date", "digits"],
)
def test_what_would_never_end_is_refused_at_once(tmp_path: Path, added: str, line: int | None, reason: str) -> None:
    file, began = write_study(tmp_path, TINY + added), time.monotonic()
    place = f"{file}:{line}" if line else str(file)
    with pytest.raises(StudyError, match=rf"^{place}: not valid YAML: {reason}"):
        StudyFile.read(file)
    assert time.monotonic() - began < 10, "it would have taken for ever"


def test_never_more_is_read_than_a_study_can_be() -> None:
    with pytest.raises(StudyError, match="/dev/zero: cannot be read: longer than 1 MiB"):
        StudyFile.read(Path("/dev/zero"))


def test_aliases_that_say_less_often_what_is_meant_are_welcome(tmp_path: Path) -> None:
    aliased = TINY.replace("[2, 3]", "&two [2, 3]").replace("design:", "  head.layers: *two\ndesign:")
    assert read_plan(write_study(tmp_path, aliased), []).design.factors[2].levels == (2, 3)


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_study(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + TINY.replace("\n", "\r\n").encode())
    assert len(read_plan(file, []).trials) == len(read_plan(write_study(tmp_path, TINY), []).trials)


def test_a_study_of_too_many_trials_is_refused(tmp_path: Path) -> None:
    many = TINY.replace("splits: 2", "splits: 10000").replace("[0.02, 0.1]", "[0.02, 0.04, 0.06, 0.08, 0.1, 0.12]")
    with pytest.raises(StudyError, match=r"study.yaml:9: design.splits: 130,000 trials, .* are more than the 100,000"):
        read_plan(write_study(tmp_path, many), [])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_mutant_ends_in_a_plan_or_a_clear_refusal(tmp_path: Path) -> None:
    """Reproduce one by its number; HADAMARD_MUTANTS says how many there are."""
    file = tmp_path / "study.yaml"
    planned = 0
    for number in range(MUTANTS):
        chance = random.Random(number)
        file.write_bytes(mutant(chance.choice((TINY, FULL)), chance).encode("utf-8", "surrogatepass"))
        done = CliRunner().invoke(app, ["plan", str(file), *chance.choice(([], ["--json"]))])
        assert done.exception is None or isinstance(done.exception, UserError), (number, done.exception)
        planned += done.exception is None
    assert 0.02 < planned / MUTANTS < 0.5, "most are refused, though not all"
