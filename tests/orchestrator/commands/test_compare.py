"""Two studies side by side: what is matched, how differences are estimated, and what cannot be compared."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hadamard.model.errors import UserError
from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.model.trial import Trial
from hadamard.orchestrator.commands.compare.comparison import CompareError
from hadamard.orchestrator.commands.compare.view import show_comparison
from hadamard.orchestrator.ledger.ledger import Ledger
from tests.support.finished import finish, finished, noise
from tests.support.studies import TINY, entered, read

FIVE = TINY.replace("splits: 2", "splits: 5")
LONGER = FIVE.replace("epochs: 3", "epochs: 9")


def accuracy(shift: float = 0.0, of_qubit: float = 0.02, sd: float = 0.005) -> Callable[[Trial], float]:
    """Return a test accuracy by the split, the qubits, a shift of quantum heads, and noise that belongs to the trial."""

    def of(trial: Trial) -> float:
        head = trial.settings.head
        quantum = shift + of_qubit * head.qubits if isinstance(head, QuantumHead) else 0.0
        return 0.6 + 0.03 * np.sin(trial.split_seed) + quantum + noise(trial, sd)

    return of


def two(tmp_path: Path, first: str, second: str, **of_second: float) -> tuple[Ledger, Ledger]:
    return finished(tmp_path / "a", first, accuracy())[0], finished(tmp_path / "b", second, accuracy(**of_second))[0]


def compared(first: Ledger, second: Ledger) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(show_comparison(first.directory, second.directory, as_json=True))
    return result


def values(ledger: Ledger, arm: str) -> list[float]:
    records = [record for record in ledger.records(ledger.load_trials()) if record.trial.arm == arm]
    return [record.responses["test_accuracy"] for record in sorted(records, key=lambda record: record.trial.split)]


def of_arm(result: dict[str, Any], label: str) -> dict[str, Any]:
    (pair,) = [pair for pair in result["arms"] if pair["arm"] == label]
    return dict(pair)


def test_arms_on_the_same_splits_differ_pair_by_pair(tmp_path: Path) -> None:
    first, second = two(tmp_path, FIVE, LONGER, shift=0.02)
    result = compared(first, second)
    assert [pair["arm"] for pair in result["arms"]] == [
        "mean of common rows (4)",
        "qubits 2, lr 0.02",
        "qubits 3, lr 0.02",
        "qubits 2, lr 0.1",
        "qubits 3, lr 0.1",
        "logistic",
    ]
    for label, arm in (("qubits 3, lr 0.1", "r03"), ("qubits 2, lr 0.02", "r00")):
        pair, before, after = of_arm(result, label), values(first, arm), values(second, arm)
        oracle = stats.ttest_rel(after, before)
        assert pair["first"] == {"rows": [arm], "mean": pytest.approx(np.mean(before)), "splits": 5}
        assert pair["difference"]["method"] == "paired"
        assert pair["difference"]["splits"] == [5, 5]
        assert pair["difference"]["interval"] == pytest.approx(list(oracle.confidence_interval()))
        assert pair["difference"]["p"] == pytest.approx(oracle.pvalue)
        assert pair["difference"]["simultaneous"][0] < pair["difference"]["interval"][0] < 0.02 < pair["difference"]["interval"][1]
    rows = [np.array([values(ledger, f"r0{at}") for at in range(4)]).mean(axis=0) for ledger in (first, second)]
    mean = of_arm(result, "mean of common rows (4)")["difference"]
    assert mean["interval"] == pytest.approx(list(stats.ttest_rel(rows[1], rows[0]).confidence_interval()))
    same = of_arm(result, "logistic")["difference"]
    assert (same["estimate"], same["interval"]) == (0, None), "the very same trials"
    assert result["shared_trials"] == 5


@pytest.mark.parametrize("other", [FIVE.replace("seed: 5", "seed: 6"), FIVE.replace("train_per_class: 16", "train_per_class: 20")])
def test_arms_on_other_splits_are_compared_by_their_means(tmp_path: Path, other: str) -> None:
    first, second = two(tmp_path, FIVE, other.replace("splits: 5", "splits: 4"), sd=0.01)
    pair = of_arm(compared(first, second), "qubits 3, lr 0.1")["difference"]
    oracle = stats.ttest_ind(values(second, "r03"), values(first, "r03"), equal_var=False)
    assert (pair["method"], pair["splits"]) == ("unpaired", [5, 4])
    assert pair["interval"] == pytest.approx(list(oracle.confidence_interval()))
    assert pair["p"] == pytest.approx(oracle.pvalue)


def test_pairs_are_made_of_the_splits_that_both_have_done(tmp_path: Path) -> None:
    first, second = two(tmp_path, FIVE, LONGER.replace("splits: 5", "splits: 7"), shift=0.01)
    pair = of_arm(compared(first, second), "qubits 2, lr 0.1")
    assert (pair["first"]["splits"], pair["second"]["splits"]) == (5, 7)
    assert (pair["difference"]["method"], pair["difference"]["splits"]) == ("paired", [5, 5])
    expected = np.mean(np.array(values(second, "r02"))[:5] - values(first, "r02"))
    assert pair["difference"]["estimate"] == pytest.approx(expected)


def test_two_splits_are_too_few_for_an_interval(tmp_path: Path) -> None:
    first, second = two(tmp_path, TINY, TINY.replace("epochs: 3", "epochs: 9"))
    pair = of_arm(compared(first, second), "qubits 2, lr 0.1")["difference"]
    assert pair["interval"] is None
    assert "too few splits" in show_comparison(first.directory, second.directory, as_json=False)


def test_rows_are_the_same_where_all_factors_of_both_studies_have_the_same_values(tmp_path: Path) -> None:
    """The second study varies layers, which the first holds at 1, and holds the learning rate, which the first varies, at 0.1."""
    other = FIVE.replace("training.lr: [0.02, 0.1]", "head.layers: [1, 2]").replace("lr: 0.05", "lr: 0.1")
    first, second = two(tmp_path, FIVE, other)
    result = compared(first, second)
    both = [pair["arm"] for pair in result["arms"] if pair["difference"]]
    assert both == ["mean of common rows (2)", "qubits 2, lr 0.1, layers 1", "qubits 3, lr 0.1, layers 1", "logistic"]
    alone = {pair["arm"]: pair for pair in result["arms"] if not pair["difference"]}
    assert alone["qubits 2, lr 0.02, layers 1"]["second"] is None
    assert alone["qubits 3, lr 0.1, layers 2"]["first"] is None
    assert {"path": "training.lr", "first": "factor: 0.02, 0.1", "second": "0.1"} in result["settings"]
    assert {"path": "head.layers", "first": "1", "second": "factor: 1, 2"} in result["settings"]
    assert [effect["path"] for effect in result["effects"]] == ["head.qubits"]


def test_baselines_are_the_same_on_the_same_representation(tmp_path: Path) -> None:
    """Where the representation is a factor of one study only, the other's baseline has the one that its study holds."""
    first, second = two(tmp_path, FIVE.replace("head.qubits: [2, 3]", "sentence_encoder.representation: [frozen, setfit]"), LONGER)
    result = compared(first, second)
    both = of_arm(result, "logistic, representation frozen")
    assert (both["first"]["rows"], both["second"]["rows"]) == (["logistic.frozen"], ["logistic"])
    assert both["difference"]["method"] == "paired"
    alone = of_arm(result, "logistic, representation setfit")
    assert (alone["second"], alone["difference"]) == (None, None)
    assert of_arm(result, "representation frozen, lr 0.1, qubits 3")["difference"]["method"] == "paired"


def test_of_tuned_arms_the_chosen_candidate_counts(tmp_path: Path) -> None:
    tuned = FIVE.replace("training.lr: [0.02, 0.1]", "head.layers: [1, 2]") + "tune: {training.lr: [0.02, 0.1]}\n"
    first, second = two(tmp_path, tuned, tuned.replace("epochs: 3", "epochs: 9"))
    result = compared(first, second)
    pair = of_arm(result, "qubits 3, layers 2")
    assert pair["difference"]["splits"] == [5, 5]
    trials = [record for record in first.records(first.load_trials()) if record.trial.arm == "r03"]
    best = [max(record.responses["test_accuracy"] for record in trials if record.trial.split == split) for split in range(5)]
    assert len(trials) == 10
    assert pair["first"]["mean"] == pytest.approx(np.mean(best)), "here, validation and test accuracy are the same"
    varied = finished(tmp_path / "c", FIVE, accuracy())[0]
    arms = [pair["arm"] for pair in compared(first, varied)["arms"] if pair["second"] is None]
    assert "qubits 2, layers 1, lr tuned" in arms, "a tuned setting is no level"


def test_repeated_rows_are_one_arm(tmp_path: Path) -> None:
    ranges = FIVE.replace("[2, 3]", "{low: 2, high: 4}").replace("[0.02, 0.1]", "{low: 0.02, high: 0.1}")
    first, second = two(tmp_path, ranges, ranges.replace("splits: 5", "splits: 5, centre_points: 2"))
    pair = of_arm(compared(first, second), "qubits 3, lr 0.06")
    assert pair["second"]["rows"] == ["r04", "r05"]
    assert pair["second"]["splits"] == 5
    assert pair["second"]["mean"] == pytest.approx(np.mean([values(second, "r04"), values(second, "r05")]))


def test_settings_that_differ_are_told_by_path(tmp_path: Path) -> None:
    other = LONGER.replace("[logistic]", "[logistic, {kind: mlp, hidden: 8}]").replace("study: tiny", "study: small")
    result = compared(*two(tmp_path, FIVE, other))
    epochs, mlp = result["settings"]
    assert epochs == {"path": "training.epochs", "first": "3", "second": "9"}
    assert (mlp["path"], mlp["first"]) == ("baselines.mlp", None)
    assert mlp["second"].startswith("kind mlp, hidden 8")
    assert (result["first"]["study"], result["second"]["study"]) == ("tiny", "small")


def test_effects_of_common_factors_and_whether_they_agree(tmp_path: Path) -> None:
    first, second = two(tmp_path, FIVE, LONGER, of_qubit=0.06)
    qubits, lr = compared(first, second)["effects"]
    assert (qubits["path"], qubits["agree"]) == ("head.qubits", False)
    assert qubits["difference"] == pytest.approx(qubits["second"]["estimate"] - qubits["first"]["estimate"])
    assert qubits["difference"] == pytest.approx(0.04, abs=0.01)
    error = np.hypot(qubits["first"]["standard_error"], qubits["second"]["standard_error"])
    assert qubits["uncertainty"]["standard_error"] == pytest.approx(error)
    assert (lr["path"], lr["agree"]) == ("training.lr", True)


def test_effects_over_other_levels_are_not_compared(tmp_path: Path) -> None:
    first, second = two(tmp_path, FIVE, FIVE.replace("[0.02, 0.1]", "[0.02, 0.2]"))
    _, old, new = compared(first, second)["effects"]
    assert old["first"] is not None
    assert old["second"] is old["difference"] is old["agree"] is new["first"] is None
    assert "other levels" in show_comparison(first.directory, second.directory, as_json=False)


def test_costs_are_added_up_and_missing_ones_are_not_measured(tmp_path: Path) -> None:
    first, _ = two(tmp_path, FIVE, LONGER)
    plan = read(tmp_path / "b", LONGER)
    second = entered(tmp_path / "measured", plan)
    for trial in plan.trials[:10]:
        finish(second, trial, 0.7 + noise(trial, 0.01), seconds=3.0, joules=40.0)
    result = compared(first, second)
    assert (result["first"]["train_s"], result["first"]["energy_j"]) == (50.0, None)
    assert (result["second"]["train_s"], result["second"]["energy_j"]) == (30.0, 400.0)
    assert result["second"]["trials"] == {"total": 25, "done": 10, "running": 0, "owed": 15, "failed": 0}
    finish(second, plan.trials[10], 0.7)
    assert compared(first, second)["second"]["energy_j"] is None, "a sum of some is not the sum of all"


def test_text_has_all_parts(tmp_path: Path) -> None:
    first, second = two(tmp_path, FIVE, LONGER, shift=0.05)
    text = show_comparison(first.directory, second.directory, as_json=False)
    for words in (
        f"first   tiny in {first.directory}: full_factorial, 4 rows, 1 baseline x 5 splits; of 25 trials 25 done",
        "both    5 finished trials the very same",
        "training.epochs  3      9",
        "mean of common rows (4)",
        "paired, 5",
        "the same",
        "qubits 2 → 3",
        "agree",
        "not measured",
    ):
        assert words in text


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    first, _ = finished(tmp_path / "a", FIVE, accuracy())
    (tmp_path / "link").symlink_to(first.directory)
    with pytest.raises(UserError, match="are the same directory"):
        show_comparison(first.directory, tmp_path / "link", as_json=False)
    with pytest.raises(UserError, match="is not a study's directory"):
        show_comparison(first.directory, tmp_path, as_json=False)
    nothing = entered(tmp_path / "nothing", read(tmp_path, LONGER))
    with pytest.raises(CompareError, match=r"nothing: no trial of tiny has finished yet"):
        show_comparison(first.directory, nothing.directory, as_json=False)
    foreign = FIVE.replace("head.qubits: [2, 3]", "head.layers: [2, 3]").replace("training.lr: [0.02, 0.1]", "training.batch: [4, 16]")
    other, _ = finished(tmp_path / "c", foreign.replace("[logistic]", "[svc]"), accuracy())
    with pytest.raises(
        CompareError, match=r"nothing in common: .*head\.qubits, training\.lr, logistic; .* has head\.layers, training\.batch, svc"
    ):
        show_comparison(first.directory, other.directory, as_json=False)


@pytest.mark.slow
def test_compare_needs_neither_ray_nor_torch_nor_mlflow(tmp_path: Path) -> None:
    first, second = two(tmp_path, TINY, TINY.replace("epochs: 3", "epochs: 9"))
    code = (
        "import sys; from pathlib import Path; from hadamard.orchestrator.commands.compare.view import show_comparison as show;"
        "show(Path(sys.argv[1]), Path(sys.argv[2]), False); print([name for name in ('ray', 'torch', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(first.directory), str(second.directory)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
