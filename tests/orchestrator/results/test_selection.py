"""Candidates and folds: what is run for them, and that the choice among them never sees a test sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from hadamard.model.data.corpus import load_corpus
from hadamard.model.data.splits import draw_fold, draw_split
from hadamard.model.settings import Fold
from hadamard.orchestrator.commands.plan import planned
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.planning.words import choice_in_words
from hadamard.orchestrator.results.selection import choices
from hadamard.orchestrator.results.tables import results_table
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.study.file import StudyError
from hadamard.orchestrator.study.schema import REPRESENTATION
from hadamard.orchestrator.study.trials import named_by
from tests.support.studies import TINY, read

TUNED = TINY.replace("  training.lr: [0.02, 0.1]\n", "  head.encoder_layers: [1, 2]\n") + (
    "tune: {training.lr: [0.02, 0.1, 0.3]}\nselection: {folds: 2, repeats: 2}\n"
)


def record(plan: Plan, key: str, validation: float, test: float, status: str = "done") -> TrialRecord:
    (trial,) = (one for one in plan.trials if one.key == key)
    responses = {"validation_accuracy": validation, "train_accuracy": 1.0, **({"test_accuracy": test} if trial.fold is None else {})}
    result = {"responses": responses, "parameters": 7} if status == "done" else None
    return TrialRecord(trial, status, "diverged" if status == "failed" else None, None, result, ())  # type: ignore[arg-type]


def arm(plan: Plan, validation: Mapping[int, float], failed: str = "", owed: str = "") -> list[TrialRecord]:
    """Records of row 0 on split 0: folds of candidate c have validation[c], whole trials the reverse, test accuracies favour the last."""
    found = []
    for trial in plan.trials:
        if trial.arm == "r00" and trial.split == 0:
            score = validation[trial.candidate or 0] if trial.fold is not None else 1 - validation[trial.candidate or 0]
            status = "failed" if failed and failed in trial.key else "owed" if owed and owed in trial.key else "done"
            found.append(record(plan, trial.key, score, 0.1 * (trial.candidate or 0), status))
    return found


def test_each_candidate_is_run_on_every_split_and_fold_with_seeds_of_its_own(tmp_path: Path) -> None:
    plan = read(tmp_path, TUNED)
    assert len(plan.trials) == 4 * 3 * 2 * (1 + 4) + 2  # rows, candidates, splits, whole and folds; the baseline tunes nothing
    assert len({trial.digest for trial in plan.trials}) == len(plan.trials)
    one = [trial for trial in plan.trials if (trial.arm, trial.split, trial.candidate) == ("r00", 1, 2)]
    assert {trial.settings.training.lr for trial in one} == {0.3}
    assert len({trial.split_seed for trial in one}) == 1
    assert len({trial.seed for trial in one}) == 5
    assert all(named_by(trial, trial.key) == trial for trial in plan.trials)
    assert {trial.key.rsplit("-", 1)[0] for trial in one} == {"r00.c2-s01", *(f"r00.c2-s01.r{r}f{f}" for r in (0, 1) for f in (0, 1))}


def test_a_fold_of_four_is_not_one_of_five(tmp_path: Path) -> None:
    digests = [{trial.digest for trial in read(tmp_path, TUNED, [f"selection.folds={of}"]).trials if trial.fold} for of in (2, 3)]
    assert not digests[0] & digests[1]


def test_how_an_encoder_is_tuned_is_chosen_for_those_that_are(tmp_path: Path) -> None:
    content = TINY.replace("  training.lr: [0.02, 0.1]\n", "  sentence_encoder.representation: [frozen, setfit]\n")
    plan = read(tmp_path, f"{content}tune: {{sentence_encoder.tuning.lr: [1.0e-5, 1.0e-4]}}\n")
    rows = [trial for trial in plan.trials if trial.split == 0 and trial.arm.startswith("r")]
    by_representation = [trial.settings.sentence_encoder.representation for trial in rows]
    assert (by_representation.count("frozen"), by_representation.count("setfit")) == (2, 4)
    overridden = read(tmp_path, TINY, ["tune.training.batch=[4, 8]"])
    assert len(overridden.trials) == 4 * 2 * 2 + 2


def test_the_candidate_with_the_best_folds_is_chosen_whatever_it_does_on_the_test_side(tmp_path: Path) -> None:
    plan = read(tmp_path, TUNED)
    (choice,) = choices(arm(plan, {0: 0.6, 1: 0.8, 2: 0.7}))
    assert (choice.record.trial.candidate, choice.status) == (1, "done")
    assert choice.cv_accuracy == pytest.approx(0.8)
    (line,) = results_table(plan, arm(plan, {0: 0.6, 1: 0.8, 2: 0.7})).to_dict("records")
    assert (line["arm"], line["candidate"], line["test_accuracy"]) == ("r00", 1, pytest.approx(0.1))
    assert line["cv_accuracy"] == pytest.approx(0.8)


def test_a_plan_says_among_how_many_is_chosen_and_by_what(tmp_path: Path) -> None:
    plan = read(tmp_path, TUNED)
    words = choice_in_words(plan.study)
    assert words == "candidates on each split, chosen by 2-fold cross-validation, repeated 2 times, inside the drawn sentences: rows 3"
    assert choice_in_words(read(tmp_path).study) is None


def test_without_folds_the_validation_side_chooses_and_of_equals_the_first(tmp_path: Path) -> None:
    plan = read(tmp_path, TUNED.replace("selection: {folds: 2, repeats: 2}\n", ""))
    (choice,) = choices(arm(plan, {0: 0.5, 1: 0.2, 2: 0.2}))
    assert (choice.record.trial.candidate, choice.cv_accuracy) == (1, None)


def test_a_choice_waits_for_every_candidate_and_passes_over_one_that_failed(tmp_path: Path) -> None:
    plan = read(tmp_path, TUNED)
    scores = {0: 0.6, 1: 0.8, 2: 0.7}
    assert [choice.status for choice in choices(arm(plan, scores, owed="c0-s00.r1f1"))] == ["owed"]
    (choice,) = choices(arm(plan, scores, failed="c1-s00.r1f1"))
    assert (choice.record.trial.candidate, choice.status) == (2, "done")
    (line,) = results_table(plan, arm(plan, scores, failed="-s00")).to_dict("records")
    assert (line["status"], line["cause"]) == ("failed", "diverged")


def test_folds_divide_what_was_drawn_and_name_no_test_sentence() -> None:
    from hadamard.model.settings import Data

    data = Data(sentences=300, train_per_class=21)
    corpus = load_corpus(data)
    whole = draw_split(corpus, data, 4)
    drawn = set(whole.train) | set(whole.validation)
    for repeat in range(2):
        folds = [draw_fold(corpus, data, 4, Fold(repeat=repeat, index=index, of=4)) for index in range(4)]
        held = [set(fold.validation) for fold in folds]
        assert set().union(*held) == drawn
        assert sum(map(len, held)) == len(drawn)
        assert [len(one) for one in held] == [12, 10, 10, 10]
        for fold in folds:
            assert set(fold.train) == drawn - set(fold.validation)
            assert not len(fold.test)
            assert abs(int(corpus.labels[fold.validation].sum()) * 2 - len(fold.validation)) == 0
            assert not {corpus.texts[row] for row in fold.train} & {corpus.texts[row] for row in fold.validation}
    parts = [set(draw_fold(corpus, data, 4, Fold(repeat=repeat, index=0, of=4)).validation) for repeat in range(2)]
    assert parts[0] != parts[1]


def test_baselines_have_a_name_candidates_and_every_representation(tmp_path: Path) -> None:
    content = TINY.replace("  training.lr: [0.02, 0.1]\n", "  sentence_encoder.representation: [frozen, setfit, unfrozen]\n").replace(
        "[logistic]", "[logistic, {kind: mlp, name: small, hidden: 4, tune: {training.lr: [0.01, 0.1]}}]"
    )
    plan = read(tmp_path, content)
    arms = {trial.arm: trial for trial in plan.trials if not trial.arm.startswith("r")}
    assert set(arms) == {"logistic.frozen", "logistic.setfit", "small.frozen", "small.setfit", "small.unfrozen"}
    assert arms["small.setfit"].settings.sentence_encoder.representation == "setfit"
    assert arms["small.setfit"].factors == {REPRESENTATION: "setfit"}
    assert {trial.candidate for trial in plan.trials if trial.arm == "small.frozen"} == {0, 1}


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ("tune: {training.lr: [0.1, 0.2]}", "is a factor; a setting is either compared or tuned"),
        ("tune: {training.speed: [0.1, 0.2]}", "no such setting"),
        ("tune: {training.batch: [8, -1]}", "greater than or equal to 1"),
        ("tune: {training.batch: [8, 8.0]}", "a value is given twice"),
        ("tune: {data.train_per_class: [8, 16]}", "cannot be tuned"),
        ("tune: {simulator: [torch, fused]}", "cannot be tuned"),
        ("tune: {head.layers: [0, 1], head.measured: [1, 9]}", "study.yaml:11: tune: rows r00, r02: head.measured = 9"),
        ("selection: {folds: 4}", "there is nothing to choose from"),
        ("tune: {training.batch: [8]}\nselection: {folds: 4}", "there is nothing to choose from"),
        ("tune: {training.batch: [8, 4]}\nselection: {folds: 17}", "cannot be divided into more than 16 folds"),
        ("baselines: [svc, {kind: logistic, name: svc}]", "two baselines have the same name"),
        ("baselines: [logistic, {kind: logistic, C: 3.0}, {kind: svc, name: logistic2}]", "two baselines have the same name"),
        ("baselines: [{kind: svc, name: r01}]", "r01 is what a row of the design is called"),
        ("baselines: [{kind: logistic, tune: {training.epochs: [1, 2]}}]", None),
        ("sentence_encoder: {representation: unfrozen}", "a logistic head is fitted in closed form"),
        ("baselines: [{kind: quadratic}]", "quadratic: head.components = 32, but 27 training sentences of 384 dimensions have 27"),
        ("power: {effect: 0.001}", "it takes at least design.splits: "),
    ],
)
def test_bad_input_names_its_line(tmp_path: Path, added: str, words: str | None) -> None:
    if words is None:  # what decides nothing for a head is no candidate, and no error either
        plan = read(tmp_path, f"{TINY.replace('baselines: [logistic]', '')}{added}\n")
        assert sum(trial.arm == "logistic" for trial in plan.trials) == 2
        return
    with pytest.raises(Exception, match=words) as error:
        read(tmp_path, f"{TINY.replace('baselines: [logistic]', '') if 'baselines' in added else TINY}{added}\n")
    if isinstance(error.value, StudyError):
        assert "study.yaml:" in str(error.value)


def test_the_number_of_splits_that_an_error_names_is_enough(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as error:
        read(tmp_path, f"{TINY}power: {{effect: 0.01}}\n")
    needed = int(str(error.value).split("design.splits: ")[1].split(".")[0])
    read(tmp_path, f"{TINY}power: {{effect: 0.01}}\n", [f"design.splits={needed}"])
    with pytest.raises(StudyError):
        read(tmp_path, f"{TINY}power: {{effect: 0.01}}\n", [f"design.splits={needed - 1}"])


def test_a_plan_names_each_split_once(tmp_path: Path) -> None:
    (tmp_path / "tuned.yaml").write_text(TUNED)
    assert [one.split for one in planned(tmp_path / "tuned.yaml", [], 0.04).splits] == [0, 1]
