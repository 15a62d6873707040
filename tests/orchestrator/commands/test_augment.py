"""Follow-up designs: proposed from the study's own numbers, and run by the printed command with all that is done kept."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hadamard.model.errors import UserError
from hadamard.model.trial import Trial
from hadamard.orchestrator.commands.augment.known import AugmentError
from hadamard.orchestrator.commands.augment.proposals import MOST_SPLITS
from hadamard.orchestrator.commands.augment.view import show_follow_ups
from hadamard.orchestrator.design.aliases import aliases
from hadamard.orchestrator.design.power import smallest_effect, splits_needed
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan, read_plan
from tests.orchestrator.test_cli import hadamard
from tests.support.finished import fail, finish, finished, noise
from tests.support.studies import TINY, entered, read, write_study

FACTORS = TINY[TINY.index("  head.qubits: [2, 3]") : TINY.index("design:")]
DESIGN = "{kind: full_factorial, splits: 2}"
RANGES = """\
  head.qubits: {low: 2, high: 4}
  training.lr: {low: 0.02, high: 0.1}
  head.encoder_layers: {low: 1, high: 3}
"""
LISTED = RANGES.replace("{low: 2, high: 4}", "[2, 4]").replace("{low: 0.02, high: 0.1}", "[0.002, 0.1]")
THIRD = "{kind: fractional_factorial, resolution: 3, splits: 4}"


def content(factors: str, design: str) -> str:
    return TINY.replace(FACTORS, factors).replace(DESIGN, design)


def coded(plan: Plan, trial: Trial) -> tuple[float, ...]:
    return next((row.coded for row in plan.design.rows if row.name == trial.arm), ())


def study(directory: Path, factors: str, design: str, bend: float = 0.0, sd: float = 0.01) -> tuple[Ledger, Plan]:
    """Return a finished study in which the first factor moves the accuracy by four points, and its middle lies `bend` above its ends."""
    plan = read(directory, content(factors, design))

    def accuracy(trial: Trial) -> float:
        at = coded(plan, trial)
        return 0.7 + (0.02 * at[0] + bend * (1 - at[0] ** 2) if at else 0.0) + 0.01 * trial.split + noise(trial, sd)

    return finished(directory, content(factors, design), accuracy)


def proposed(ledger: Ledger, effect: float | None = None, power: float | None = None) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return the whole JSON, its proposals by name, and its notes."""
    result = json.loads(show_follow_ups(ledger.directory, effect, power, as_json=True))
    return result, {proposal["name"]: proposal for proposal in result["proposals"]}, result["notes"]


def run_by(command: str) -> tuple[Path, list[str]]:
    """Return the study file and the settings of a printed command."""
    program, verb, file, option, _, *rest = shlex.split(command)
    assert (program, verb, option) == ("hadamard", "run", "--dir")
    assert set(rest[::2]) <= {"--set"}
    return Path(file), rest[1::2]


def keys(plan: Plan) -> set[str]:
    return {trial.digest for trial in plan.trials}


EVERY = [
    (RANGES, THIRD, {"fold-over", "splits", "centre points"}),
    (RANGES, "{kind: plackett_burman, splits: 2, fold_over: true}", {"splits", "centre points"}),
    (LISTED, THIRD, {"fold-over", "splits", "centre points"}),
    (RANGES, "{kind: full_factorial, splits: 2}", {"splits", "centre points"}),
    (RANGES, "{kind: definitive_screening, splits: 2}", {"splits"}),
    (RANGES, "{kind: latin_hypercube, rows: 7, splits: 2}", {"splits"}),
    (FACTORS, "{kind: one_at_a_time, splits: 3}", {"splits"}),
]


@pytest.mark.parametrize(("factors", "design", "names"), EVERY)
def test_every_proposal_keeps_all_that_is_done_and_owes_what_it_adds(tmp_path: Path, factors: str, design: str, names: set[str]) -> None:
    ledger, plan = study(tmp_path, factors, design)
    result, proposals, _ = proposed(ledger)
    assert set(proposals) == names
    assert result["done"] == len(plan.trials)
    for proposal in proposals.values():
        then = read_plan(*run_by(proposal["command"]))
        assert keys(plan) < keys(then)
        assert proposal["done"] == len(plan.trials)
        assert proposal["trials"] == proposal["owed"] == len(then.trials) - len(plan.trials) > 0
        assert proposal["rows"] == len(then.design.rows) - len(plan.design.rows)
        assert proposal["expected_s"] > 0
        assert all(row.values in [other.values for other in then.design.rows] for row in plan.design.rows)


def test_the_fold_over_is_proposed_for_the_main_effects_that_it_frees(tmp_path: Path) -> None:
    ledger, plan = study(tmp_path, RANGES, THIRD)
    _, proposals, _ = proposed(ledger)
    why = proposals["fold-over"]["why"]
    assert "main effects of qubits, lr and encoder layers may contain two-factor interactions, such as lr x encoder layers in qubits" in why
    assert "the fold-over frees them" in why
    assert "It would show whether qubits (+" in why
    then = read_plan(*run_by(proposals["fold-over"]["command"])).design
    assert any(aliases(plan.design.factors, plan.design.coded).main_effects.values())
    assert not any(aliases(then.factors, then.coded).main_effects.values())


def test_no_fold_over_where_main_effects_are_clear(tmp_path: Path) -> None:
    clear = content(RANGES + "  training.epochs: {low: 2, high: 4}\n", "{kind: fractional_factorial, resolution: 4, splits: 2}")
    ledger, _ = finished(tmp_path, clear, lambda trial: 0.7 + noise(trial, 0.01))
    _, proposals, notes = proposed(ledger)
    assert "fold-over" not in proposals
    assert "fold-over: main effects are clear of two-factor interactions." in notes


def test_splits_are_the_fewest_that_find_the_effect_with_the_noise_that_was_measured(tmp_path: Path) -> None:
    ledger, plan = study(tmp_path, RANGES, THIRD, sd=0.012)
    result, proposals, _ = proposed(ledger, effect=0.7, power=0.9)
    sd = result["noise"]["sd"]
    assert sd == pytest.approx(0.012, rel=0.5)
    assert result["noise"]["df"] == (4 - 1) * (4 - 1)
    splits = json.loads(run_by(proposals["splits"]["command"])[1][0].removeprefix("design.splits="))

    def smallest(count: int) -> float:
        return max(float(term.effect or 0) for term in smallest_effect(plan.design, count, sd, power=0.9))

    assert smallest(splits) <= 0.007 < smallest(splits - 1)
    assert result["detectable"] == pytest.approx(smallest(4))
    assert f"An effect of 0.7 points would need {splits} splits" in proposals["splits"]["why"]
    assert proposed(ledger)[0]["wanted"] == pytest.approx(proposed(ledger)[0]["detectable"] / 2)


def test_what_the_study_wants_to_find_is_what_splits_are_for(tmp_path: Path) -> None:
    """The study was planned with less than half of the noise that it then showed."""
    text = content(RANGES, THIRD) + "power: {effect: 0.02, sd: 0.008, power: 0.9}\n"
    ledger, _ = finished(tmp_path, text, lambda trial: 0.7 + noise(trial, 0.02))
    result = json.loads(show_follow_ups(ledger.directory, None, None, as_json=True))
    assert (result["wanted"], result["power"]) == (0.02, 0.9)
    assert result["detectable"] > 0.02
    assert any(proposal["name"] == "splits" for proposal in result["proposals"])


def test_splits_that_are_enough_or_out_of_reach_are_not_proposed(tmp_path: Path) -> None:
    ledger, plan = study(tmp_path, RANGES, THIRD)
    assert any("splits: 4 find an effect of 20.0 points" in note for note in proposed(ledger, effect=20.0)[2])
    needed = splits_needed(plan.design, proposed(ledger)[0]["noise"]["sd"], 0.0008, 0.8)
    assert needed is not None
    assert needed > MOST_SPLITS
    assert any(f"would need {needed} of them" in note for note in proposed(ledger, effect=0.08)[2])
    _, proposals, notes = proposed(ledger, effect=0.01)
    assert "splits" not in proposals
    assert any("would need more than can be drawn" in note for note in notes)


def test_one_split_without_rows_to_spare_has_no_noise_to_plan_with(tmp_path: Path) -> None:
    ledger, _ = study(tmp_path, RANGES, THIRD.replace("splits: 4", "splits: 1"))
    result, proposals, _ = proposed(ledger)
    assert result["noise"] == {"sd": None, "df": None}
    assert result["detectable"] is result["wanted"] is None
    assert proposals["splits"]["settings"] == ["design.splits=5"]


@pytest.mark.parametrize("bend", [0.04, -0.04, 0.0])
def test_axial_points_are_proposed_where_the_centre_lies_off_the_plane(tmp_path: Path, bend: float) -> None:
    ledger, plan = study(tmp_path, RANGES, "{kind: full_factorial, splits: 4, centre_points: 3}", bend=bend, sd=0.005)
    _, proposals, notes = proposed(ledger)
    assert "centre points" not in proposals
    if not bend:
        assert "axial points" not in proposals
        assert any("axial points: the centre lies on the plane through the corners, within noise" in note for note in notes)
        return
    middle = [trial for trial in plan.trials if coded(plan, trial) == (0, 0, 0)]
    ends = [trial for trial in plan.trials if 0 not in (coded(plan, trial) or (0,))]
    off = 100 * (_mean(ledger, middle) - _mean(ledger, ends))
    assert f"by {off:+.1f} points (".replace("-", "−") in proposals["axial points"]["why"]
    then = read_plan(*run_by(proposals["axial points"]["command"])).design
    squares = np.column_stack([np.ones(len(then.rows)), then.coded, then.coded**2])
    assert np.linalg.matrix_rank(squares) == 7


def _mean(ledger: Ledger, trials: list[Trial]) -> float:
    return float(np.mean([record.responses["test_accuracy"] for record in ledger.records(trials)]))


def test_listed_pairs_of_numbers_become_ranges_to_have_a_middle(tmp_path: Path) -> None:
    ledger, _ = study(tmp_path, LISTED, THIRD)
    (centre, *ranges) = proposed(ledger)[1]["centre points"]["settings"]
    assert centre == "design.centre_points=2"
    assert ranges == ["factors.head.qubits={low: 2, high: 4}", "factors.training.lr={low: 0.002, high: 0.1, scale: log}"]


@pytest.mark.parametrize(
    ("pair", "why"),
    [("[2, 3]", "they need every factor to have a middle, which head.qubits lacks."), ("[4, 2]", "head.qubits lacks")],
    ids=["no room", "falling"],
)
def test_no_centre_points_without_a_middle(tmp_path: Path, pair: str, why: str) -> None:
    """A falling pair as a range would exchange its ends, and with them the half of the factorial that has been run."""
    ledger, _ = study(tmp_path, RANGES.replace("{low: 2, high: 4}", pair), THIRD)
    _, proposals, notes = proposed(ledger)
    assert "centre points" not in proposals
    assert any(note.startswith("centre points: ") and why in note for note in notes)


def test_rows_that_diverged_are_made_up_for_elsewhere(tmp_path: Path) -> None:
    text = content(RANGES.partition("  head.encoder")[0], "{kind: full_factorial, splits: 2}")
    plan = read(tmp_path, text)
    ledger = entered(tmp_path / "run", plan)
    for trial in plan.trials:
        if coded(plan, trial) == (1, 1):
            fail(ledger, trial, "diverged")
        else:
            finish(ledger, trial, 0.7 + noise(trial, 0.01))
    _, proposals, _ = proposed(ledger)
    assert proposals["rows"]["rows"] == 1
    assert "r03 failed on every split, and would again, so qubits x lr cannot be estimated any more" in proposals["rows"]["why"]
    then = read_plan(*run_by(proposals["rows"]["command"]))
    assert keys(plan) < keys(then)
    assert (proposals["rows"]["done"], proposals["rows"]["owed"]) == (8, 2)
    left = np.array([row.coded for row in then.design.rows if row.coded != (1, 1)])
    assert len(left) == 4
    assert len(aliases(then.design.factors, left).estimable) == 1
    assert aliases(then.design.factors, left[:3]).estimable == ()


def test_rows_that_no_other_can_replace_are_named(tmp_path: Path) -> None:
    plan = read(tmp_path)
    ledger = entered(tmp_path / "run", plan)
    for trial in plan.trials:
        if trial.arm == "r01":
            fail(ledger, trial, "diverged")
        else:
            finish(ledger, trial, 0.7 + noise(trial, 0.01))
    _, proposals, notes = proposed(ledger)
    assert "rows" not in proposals
    assert any("rows: r01 failed on every split" in note and "no other rows give back qubits x lr" in note for note in notes)


def test_what_is_owed_comes_first(tmp_path: Path) -> None:
    plan = read(tmp_path)
    ledger = entered(tmp_path / "run", plan)
    for trial in plan.trials[:7]:
        finish(ledger, trial, 0.7 + noise(trial, 0.01))
    fail(ledger, plan.trials[7], "killed")
    result, proposals, _ = proposed(ledger)
    assert result["proposals"][0]["name"] == "finish"
    assert "3 of 10 trials are not done yet, 1 of them failed and will be tried again" in proposals["finish"]["why"]
    assert (proposals["finish"]["done"], proposals["finish"]["owed"], proposals["finish"]["trials"]) == (7, 3, 0)
    assert proposals["finish"]["command"] == f"hadamard run {ledger.study_file} --dir {ledger.directory}"


def test_a_proposal_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    """Ranks go by powers of two, and halfway from 2 to 8 is none."""
    ledger, _ = study(tmp_path, RANGES.replace("head.encoder_layers: {low: 1, high: 3}", "mpi.ranks: [2, 8]"), THIRD)
    _, proposals, notes = proposed(ledger)
    assert "centre points" not in proposals
    assert any(note.startswith("centre points: rows r04, r05: ") and "power of two" in note for note in notes), notes


def test_a_changed_corpus_is_told(tmp_path: Path) -> None:
    rows = [f"sentence number {index}\t{index % 2}\n" for index in range(60)]
    (tmp_path / "mine.tsv").write_text("text\tlabel\n" + "".join(rows))
    text = TINY.replace("name: reviews, sentences: 300", f"name: mine, path: {tmp_path / 'mine.tsv'}")
    ledger, _ = finished(tmp_path, text, lambda trial: 0.7 + noise(trial, 0.01))
    assert not any("done again" in note for note in proposed(ledger)[2])
    (tmp_path / "mine.tsv").write_text("text\tlabel\n" + "".join(rows[:-2]))
    read_plan.__globals__["trials_of"].__globals__["corpus_of"].cache_clear()
    assert any(note.startswith("10 of the 10 finished trials would be done again: corpus") for note in proposed(ledger)[2])


def test_nothing_finished_is_refused(tmp_path: Path) -> None:
    ledger, _ = finished(tmp_path, TINY, lambda trial: 0.7 if trial.arm == "logistic" else None)
    with pytest.raises(AugmentError, match="no trial of the design of tiny has finished yet"):
        show_follow_ups(ledger.directory, None, None, as_json=False)
    with pytest.raises(UserError, match="is not a study's directory"):
        show_follow_ups(tmp_path, None, None, as_json=False)


def test_text_says_why_what_and_how_and_writes_nothing(tmp_path: Path) -> None:
    ledger, _ = study(tmp_path, RANGES, THIRD)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    text = show_follow_ups(ledger.directory, 0.5, None, as_json=False)
    for words in (
        f"tiny in {ledger.directory}: fractional_factorial, 4 rows x 4 splits; 20 of 20 trials are done",
        "one trial scatters by",
        "measured with 9 degrees of freedom",
        "1. fold-over",
        "4 rows, 16 trials; of all, 20 are done and 16 owed",
        f"run    hadamard run {ledger.study_file} --dir {ledger.directory} --set design.fold_over=true\n",
        "2. splits",
        "3. centre points",
    ):
        assert words in text
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.slow
def test_augment_needs_neither_ray_nor_torch_nor_mlflow(tmp_path: Path) -> None:
    ledger, _ = study(tmp_path, RANGES, THIRD)
    code = (
        "import sys; from pathlib import Path; from hadamard.orchestrator.commands.augment.view import show_follow_ups as show;"
        "show(Path(sys.argv[1]), None, None, False); print([name for name in ('ray', 'torch', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ledger.directory)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.slow
def test_the_printed_command_trains_what_it_adds_and_nothing_else(tmp_path: Path) -> None:
    """A real study, run, augmented by centre points and a range by the printed command: finished trials are left as they are."""
    file = write_study(tmp_path, content("  head.qubits: [2, 4]\n  training.lr: {low: 0.02, high: 0.1}\n", DESIGN))
    directory = tmp_path / "run"
    first = hadamard("run", file, "--dir", directory, "--no-dashboard")
    assert first.returncode == 0, first.stderr
    before = {path: path.stat().st_mtime_ns for path in directory.glob("trials/*/*")}
    assert len(list(directory.glob("trials/*/result.json"))) == 10
    (proposal,) = [
        proposal
        for proposal in json.loads(hadamard("augment", directory, "--json").stdout)["proposals"]
        if proposal["name"] == "centre points"
    ]
    assert (proposal["rows"], proposal["trials"], proposal["done"], proposal["owed"]) == (2, 4, 10, 4)
    _, *words = shlex.split(proposal["command"])
    second = hadamard(*words, "--no-dashboard")
    assert second.returncode == 0, second.stderr
    assert "to do:     4 trials in" in second.stdout
    after = {path: path.stat().st_mtime_ns for path in directory.glob("trials/*/*")}
    assert {path: stamp for path, stamp in after.items() if path in before and path.name != "trial.json"} == {
        path: stamp for path, stamp in before.items() if path.name != "trial.json"
    }
    assert len(list(directory.glob("trials/*/result.json"))) == 14
    assert json.loads(hadamard("status", directory, "--json").stdout)["trials"]["owed"] == 0
