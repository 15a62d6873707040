"""The report: every state a study can be in gives a page that stands alone, and equal results give equal tables."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hadamard.orchestrator import plotting
from hadamard.orchestrator.analysis.comparisons import best_by_validation, paired_differences, screen
from hadamard.orchestrator.analysis.effects import interactions, main_effects
from hadamard.orchestrator.analysis.inference import Array
from hadamard.orchestrator.design.design import Design, build
from hadamard.orchestrator.design.factors import Factor
from hadamard.orchestrator.energy.attribution import NOT_MEASURED, StudyEnergy
from hadamard.orchestrator.formats import between, duration, joules, plus_minus, points, signed, signed_plus_minus
from hadamard.orchestrator.report import published
from hadamard.orchestrator.report.answers import Answers, answers, nouns
from hadamard.orchestrator.report.arms import arm_means, gains, groups, head_of
from hadamard.orchestrator.report.cost_figures import pareto_front
from hadamard.orchestrator.report.cost_tables import cost_effects, cost_rows, energy_note, phase_rows, totals
from hadamard.orchestrator.report.disagreements import disagreements, in_words
from hadamard.orchestrator.report.figures import Analysis, ReportFigure, figures_of
from hadamard.orchestrator.report.page import answer_context, template, write
from hadamard.orchestrator.report.tables import row_table, tiles
from hadamard.orchestrator.study.schema import REPRESENTATION
from tests.support.designs import settings_of

FACTORS = (
    Factor("head.qubits", levels=(6, 10)),
    Factor("head.encoder_layers", levels=(1, 4)),
    Factor("head.reuploads", levels=(1, 4)),
    Factor("head.connectivity", levels=(1, 2)),
    Factor("training.lr", low=0.003, high=0.03, scale="log"),
    Factor("training.weight_decay", levels=(0.0, 0.01)),
    Factor("head.constant", levels=(False, True)),
)
EXPLICIT = [
    {"head.qubits": qubits, "head.encoder_layers": layers, "head.reuploads": reuploads}
    for qubits, layers, reuploads in ((6, 1, 1), (10, 1, 1), (6, 4, 1), (6, 1, 4))
]
SHOTS = Factor("head.noise.shots", levels=("exact", 100, 1000))
MANY = Factor("head.merge", levels=tuple(f"way number {at}" for at in range(8)))
QUBITS = Factor("head.qubits", levels=(4, 6, 8, 10, 12))
EMBEDDINGS = Factor(REPRESENTATION, levels=("frozen", "setfit"))
SETFIT_GAIN = 0.03
CHANGES = ("SetFit instead of frozen", "unfrozen instead of frozen")
MERGE = Factor("head.merge", levels=("mean", "concatenate", "blocks"))
TRUE_EFFECTS = (0.030, 0.004, 0.0, 0.0, -0.016, 0.0, 0.012)
BASELINES = {"logistic": (0.758, 385), "svc": (0.751, 179), "mlp": (0.742, 18722)}
RESPONSES = ["test_accuracy", "validation_accuracy", "train_accuracy", "test_loss"]

Study = dict[str, Any]
"""The arguments of `write`."""


def synthetic(design: Design, splits: int, baselines: Mapping[str, tuple[float, int]] = BASELINES, seed: int = 1, hump: float = 0) -> Study:
    """Return a finished study whose true effects, interaction (first and last factor, 0.8 points) and noise are known."""
    rng = np.random.default_rng(seed)
    easy = rng.normal(0, 0.008, splits)
    weights = np.resize(TRUE_EFFECTS, len(design.factors)) / 2
    arms: list[tuple[str, int | None, float, int, Mapping[str, Any]]] = []
    for row in design.rows:
        level = (
            0.690
            + hump * bool(np.all(np.abs(row.coded) < 1))
            + float(weights @ row.coded)
            + 0.004 * row.coded[0] * row.coded[-1] * (len(row.coded) > 1)
        )
        arms.append((row.name, row.index, level, 120 + 40 * row.index, row.values))
    arms += [(name, None, level, size, {}) for name, (level, size) in baselines.items()]
    lines, curves = [], {}
    for name, index, level, size, values in arms:
        for split in range(splits):
            key = f"{name}-s{split:02d}-{hashlib.sha256(f'{name}{split}'.encode()).hexdigest()[:8]}"
            test = level + easy[split] + rng.normal(0, 0.007)
            validation = round((test + rng.normal(0, 0.03)) * 77) / 77
            accuracies = {
                "test_accuracy": test,
                "validation_accuracy": validation,
                "train_accuracy": test + 0.06,
                "test_loss": 0.6 - test / 4,
            }
            lines.append(
                {
                    "key": key,
                    "arm": name,
                    "row": index,
                    "split": split,
                    "status": "done",
                    "cause": None,
                    **accuracies,
                    "parameters": size,
                    **values,
                }
            )
            if index is not None:
                curves[key] = [epoch_of(epoch, test, rng) for epoch in range(1, 31)]
    mixed = [factor.path for factor in design.factors if len({type(level) for level in factor.levels}) > 1]
    texts = dict.fromkeys(("key", "arm", "status", "cause"), "string")
    for line in lines:
        line.update({path: str(value) for path, value in line.items() if path in mixed})
    results = pd.DataFrame(lines).astype({**texts, "row": "Int64", "split": "Int64", "parameters": "Int64"})
    return {
        "study": {"name": "demo", "corpus": "reviews, 2000 sentences", "sentence encoder": "all-MiniLM-L6-v2, frozen"},
        "quantum": True,
        "design": design,
        "results": results,
        "costs": costs_of(results, rng),
        "energy": NOT_MEASURED,
        "grid_g_per_kwh": None,
        "curves": curves,
        "right": {},
        "provenance": {"git commit": "0123abcd", "data hash": "9f2c", "command": "hadamard run study.yaml"},
    }


def represented(splits: int, representations: tuple[str, ...] = ("frozen", "setfit")) -> Study:
    """Return a study in which SetFit gives every head, quantum or not, 3 points, and each classical head runs on both embeddings."""
    design = build(settings_of("full_factorial"), (replace(EMBEDDINGS, levels=representations), FACTORS[0], FACTORS[1]), seed=1)
    both = {
        f"{name}.{level}": (accuracy + SETFIT_GAIN * (level == "setfit"), size)
        for name, (accuracy, size) in BASELINES.items()
        for level in representations
    }
    study = synthetic(design, splits, both)
    results = study["results"].assign(cv_accuracy=study["results"]["validation_accuracy"])
    baseline = results["row"].isna()
    results[REPRESENTATION] = results[REPRESENTATION].where(~baseline, results["arm"].str.split(".").str[-1]).astype("string")
    return {**study, "results": results, "provenance": {**study["provenance"], "data hash": published.SST2_HASH}}


def epoch_of(epoch: int, test: float, rng: np.random.Generator) -> dict[str, float]:
    risen = 1 - math.exp(-epoch / 6)
    train, validation = np.array([0.5 + (test - 0.42) * risen, 0.5 + (test - 0.5) * risen]) + rng.normal(0, 0.01, 2)
    return {
        "epoch": epoch,
        "train_loss": 0.7 - 0.2 * risen,
        "validation_loss": 0.7 - 0.15 * risen,
        "train_accuracy": train,
        "validation_accuracy": validation,
    }


def costs_of(results: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return costs in which the first factor's high level takes twice as long as its low one."""
    factor = results.columns[-1] if "head.qubits" not in results else "head.qubits"
    doubled = pd.to_numeric(results[factor], errors="coerce") == results[factor].max() if results[factor].dtype != object else 0
    seconds = 5 * 2.0**doubled * np.exp(rng.normal(0, 0.02, len(results)))
    costs = pd.DataFrame({"key": results["key"], "attempts": 1, "train_s": seconds, "energy_j": 42 * seconds})
    return costs.assign(pack=results["key"], energy_scope="package", energy_method="counter", energy_window_s=60.0, host="node01")


def screening() -> Design:
    return build(settings_of("plackett_burman"), FACTORS, seed=3)


def small() -> Study:
    return synthetic(build(settings_of("full_factorial"), FACTORS[:2], seed=1), splits=3)


def without(study: Study, lost: Callable[[pd.DataFrame], Any], status: str = "failed") -> Study:
    """Return the study with those trials failed (or owed) instead of done."""
    results = study["results"].copy()
    where = lost(results)
    results.loc[where, "status"] = status
    results.loc[where, "cause"] = "diverged" if status == "failed" else None
    results.loc[where, RESPONSES] = np.nan
    results.loc[where, "parameters"] = pd.NA
    return {**study, "results": results}


STATES: dict[str, Callable[[], Study]] = {
    "finished": small,
    "nothing done": lambda: without(small(), lambda r: r["key"].notna(), "owed") | {"curves": {}},
    "all failed": lambda: without(small(), lambda r: r["key"].notna()),
    "one trial": lambda: without(small(), lambda r: r.index > 0, "owed"),
    "one split": lambda: synthetic(screening(), splits=1),
    "one factor": lambda: synthetic(build(settings_of("full_factorial"), FACTORS[:1], seed=1), splits=4),
    "no baselines": lambda: synthetic(build(settings_of("full_factorial"), FACTORS[:2], seed=1), splits=3, baselines={}),
    "only baselines done": lambda: without(small(), lambda r: r["row"].notna(), "owed"),
    "baselines on other splits": lambda: without(small(), lambda r: r["row"].isna() == (r["split"] < 2)),
    "baselines on some splits": lambda: without(small(), lambda r: r["row"].isna() & (r["split"] > 0)),
    "a level lost": lambda: without(small(), lambda r: r["head.qubits"] == 10),
    "half done": lambda: without(small(), lambda r: r.index % 2 == 1, "owed"),
    "explicit rows": lambda: synthetic(build(settings_of("explicit", rows=EXPLICIT), FACTORS[:3], seed=1), splits=4),
    "shots": lambda: synthetic(build(settings_of("full_factorial"), (SHOTS, FACTORS[0]), seed=1), splits=3),
    "forty arms": lambda: synthetic(build(settings_of("full_factorial"), (MANY, QUBITS), seed=1), splits=3),
    "two representations": lambda: represented(splits=4),
    "space filling": lambda: synthetic(build(settings_of("latin_hypercube", rows=8), (FACTORS[4], MERGE), seed=1), splits=2),
}


class Page(HTMLParser):
    """Collects what a page refers to, and checks that its elements close in order."""

    VOID = ("meta", "img", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw coarse figures without arranging them, which takes a fifth of the time."""
    monkeypatch.setattr(plotting, "DPI", 40)
    monkeypatch.setitem(plotting.STYLE, "figure.constrained_layout.use", False)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("state", STATES)
def test_every_state_of_a_study_gives_a_page_that_stands_alone(state: str, tmp_path: Path) -> None:
    study = STATES[state]()
    path = write(tmp_path / "report of a study", **study)
    page = Page(path.read_text())
    assert page.open == []
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
    assert len(page.references) == len(list(path.parent.glob("*.png")))
    assert "nan" not in page.text.split()
    assert " None" not in page.text.replace("None of the", "")
    failed = (study["results"]["status"] == "failed").sum()
    assert page.text.count("diverged") == failed
    assert len(pd.read_csv(path.parent / "results.csv")) == len(study["results"])


@pytest.mark.slow
def test_figures_are_sharp_and_small(tmp_path: Path) -> None:
    path = write(tmp_path, **synthetic(screening(), splits=4))
    drawn = {path.stem: path.read_bytes() for path in path.parent.glob("*.png")}
    assert set(drawn) == {
        "main_effects",
        "effects",
        "half_normal",
        "paired_differences",
        "qubits",
        "costs",
        "learning_curves",
    }
    assert all(len(content) < 150_000 for content in drawn.values())
    width = int.from_bytes(drawn["main_effects"][16:20], "big")
    assert width == 1920


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_the_tables_are_written_with_every_digit_and_costs_apart(tmp_path: Path) -> None:
    study = without(small(), lambda r: r.index == 4) | {"curves": {}}
    other = {**study, "costs": study["costs"].assign(train_s=1.0, energy_j=np.nan)}
    first, second = write(tmp_path / "a", **study).parent, write(tmp_path / "b", **other).parent
    for name in ("results.csv", "results.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / "costs.csv").read_bytes() != (second / "costs.csv").read_bytes()
    assert b"\r" not in (first / "results.csv").read_bytes()
    expected = study["results"].set_index("key")["test_accuracy"]
    for table in (pd.read_csv(first / "results.csv"), pd.read_parquet(first / "results.parquet")):
        assert not {"train_s", "energy_j"} & set(table.columns)
        assert list(table["key"]) == list(expected.index)
        assert all(seen == value or math.isnan(value) for seen, value in zip(table["test_accuracy"], expected, strict=True))


@pytest.mark.usefixtures("quick")
def test_markup_in_texts_is_shown_not_obeyed(tmp_path: Path) -> None:
    study = without(small(), lambda r: r["key"].notna())
    study["results"]["cause"] = study["results"]["cause"].replace("diverged", "<script>alert(1)</script>")
    html = write(tmp_path, **study).read_text()
    assert "script" not in Page(html).tags
    assert "&lt;script&gt;" in html


def told(study: Study) -> str:
    """Return the answers and remarks as a reader sees them, words apart by single spaces."""
    design, results = study["design"], study["results"]
    mains, pairs, beside = main_effects(design, results), interactions(design, results), published.applies(study["provenance"])
    context = answer_context(design, results, mains, pairs, groups(results), study["quantum"], beside)
    page = Page("".join(template(f"{part}.html.j2").render(context) for part in ("answers", "remarks")))
    return " ".join(page.text.split())


def answered(study: Study) -> Answers:
    design, results = study["design"], study["results"]
    factor = next((factor for factor in design.factors if factor.path == REPRESENTATION), None)
    mains, pairs = main_effects(design, results), interactions(design, results)
    return answers(design, mains, pairs, groups(results), gains(results, factor), screen(results), nouns(study["quantum"]))


def figures(study: Study) -> dict[str, ReportFigure]:
    design, results = study["design"], study["results"]
    mains, pairs = main_effects(design, results), interactions(design, results)
    beside = published.applies(study["provenance"])
    analysis = Analysis(design, results, study["costs"], mains, pairs, groups(results), study["curves"], beside, study["quantum"])
    return {figure.name: figure for figure in figures_of(analysis)}


def test_the_first_answer_says_what_moves_accuracy() -> None:
    study = synthetic(build(settings_of("full_factorial"), FACTORS[:3], seed=1), splits=20)
    effects = {effect.label: effect for effect in main_effects(study["design"], study["results"]).effects}
    qubits = effects["qubits"]
    assert qubits.simultaneous
    half = 50 * (qubits.simultaneous[1] - qubits.simultaneous[0])
    short = f"+{100 * qubits.estimate:.1f} ± {half:.1f}"
    text = told(study)
    assert f"What moves accuracy? Qubits (6 → 10): {short} points. Effects that stand out from noise: 2 of 3." in text
    assert f"qubits 6 → 10{short}stands out" in text.replace(f" {short}", short).replace(" stands out", "stands out")
    assert "a 95 % interval that holds for all 3 effects together" in text
    assert "half of that needs four times as many splits, 80" in text
    given = answered(study)
    assert [line.what for line in given.moves] == ["qubits", "encoder layers"]
    assert [line.tone for line in given.moves] == ["up", "up"]
    (crossed,) = given.interacting
    assert (crossed.what, round(100 * crossed.estimate, 1)) == ("qubits × reuploads", 0.8)


def test_no_row_is_said_to_beat_a_baseline_where_none_does() -> None:
    study = synthetic(build(settings_of("full_factorial"), FACTORS[:3], seed=1), splits=20)
    (group,) = answered(study).against
    assert group.no_row_is_better
    assert [line.what for line in group.lines] == ["logistic", "svc", "mlp"], "the hardest to beat first"
    assert {line.tone for line in group.lines} == {"down"}
    text = told(study)
    assert "No quantum row tests better than any of the classical heads" in text
    assert "clearly better than 0, clearly worse than 3 of 3 classical heads." in text
    assert "holds for all 9 comparisons together" in text
    assert "by luck alone" in text
    assert text.endswith("Trials: 220 done, 0 failed, 0 still owed.")


def test_a_row_that_beats_a_baseline_is_said_to() -> None:
    study = synthetic(screening(), splits=12, baselines={"svc": (0.60, 10)})
    (group,) = answered(study).against
    assert (group.no_row_is_better, group.lines[0].tone) == (False, "up")
    assert group.lines[0].points.startswith("+11.")
    text = told(study)
    assert "clearly better than 1, clearly worse than 0 of 1 classical head." in text
    assert "No quantum row" not in text
    assert "Effects may contain interactions of two factors, which this design cannot tell apart" in text
    assert "Main effects that may contain two-factor interactions" in text
    assert "No rows are left over to check for them." in text


def test_with_many_baselines_each_has_a_line_and_the_figure_shows_the_picked_row_alone() -> None:
    heads = {f"head{at}": (0.75 + at / 200, 100) for at in range(8)}
    study = synthetic(build(settings_of("full_factorial"), FACTORS[:2], seed=1), splits=6, baselines=heads)
    (group,) = answered(study).against
    picked = [pair for pair in paired_differences(study["results"]) if pair.arm == best_by_validation(study["results"])]
    assert [line.estimate for line in group.lines] == pytest.approx(sorted(pair.mean for pair in picked))
    assert "clearly worse than 8 of 8 classical heads" in told(study)
    axes = figures(study)["paired_differences"].figure.axes[0]
    assert len(axes.get_yticks()) == 8  # not three arms for each


def test_heads_are_compared_on_the_same_embeddings() -> None:
    study = represented(splits=12)
    for group in groups(study["results"]):
        assert {comparison.baseline.split(".")[1] for comparison in group.comparisons} == {group.representation}
    together = [group.comparisons[0].simultaneous for group in groups(study["results"])]
    alone = [paired_differences(group.results)[0].simultaneous for group in groups(study["results"])]
    for wide, narrow in zip(together, alone, strict=True):
        assert wide
        assert narrow
        assert wide[0] < narrow[0] < narrow[1] < wide[1]
    of_heads = gains(study["results"], EMBEDDINGS)
    assert {gain.head for gain in of_heads} == set(BASELINES)
    assert all(gain.simultaneous and gain.simultaneous[0] < SETFIT_GAIN < gain.simultaneous[1] for gain in of_heads)
    lines = answered(study).representations
    assert [line.what for line in lines] == ["quantum rows", "logistic", "mlp", "svc"]
    assert {line.change for line in lines} == {"SetFit instead of frozen"}
    text = told(study)
    assert text.startswith("What does the representation do? SetFit instead of frozen embeddings, quantum rows: +3.")
    assert "Published for logistic regression on paraphrase-mpnet-base-v2: +3.6 points" in text
    assert "The row picked by cross-validation" in text


def test_three_representations_of_which_one_has_fewer_heads() -> None:
    study = represented(splits=6, representations=("frozen", "setfit", "unfrozen"))
    lost = study["results"]["arm"].isin(["logistic.unfrozen", "svc.unfrozen"])
    study = {**study, "results": study["results"][~lost].reset_index(drop=True)}
    given = answered(study)
    (unfrozen,) = [group for group in given.against if group.representation == "unfrozen"]
    assert [(line.what, line.verdict) for line in unfrozen.lines] == [("mlp", "hint")]
    heads = {change: [line.what for line in given.representations if line.change == change] for change in CHANGES}
    assert heads == {CHANGES[0]: ["quantum rows", "logistic", "mlp", "svc"], CHANGES[1]: ["quantum rows", "mlp"]}
    assert set(figures(study)) >= {"paired_differences", "qubits", "costs"}
    only = answered(without(study, lambda r: r[REPRESENTATION] == "setfit")).representations
    assert {line.change for line in only} == {"unfrozen instead of frozen"}
    assert only[0].points.startswith("+2.8 ± ")


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_sentences_that_one_head_alone_gets_right_are_told_by_split(tmp_path: Path) -> None:
    study = small()
    results, picked = study["results"], best_by_validation(study["results"])
    marks = {"logistic": np.arange(200) < 150, picked: np.arange(200) < 100}  # 50 that only the baseline gets right, on every split
    right = {key: marks[arm] for key, arm in zip(results["key"], results["arm"], strict=True) if arm in marks}
    found = disagreements(groups(results), right)
    assert {pair: in_words(test) for pair, test in found.items()} == {(picked, "logistic"): "worse on 3 of 3"}
    assert disagreements(groups(results), {}) == {}
    assert (
        in_words(disagreements(groups(results), dict.fromkeys(right, marks["logistic"]))[picked, "logistic"])
        == "not told apart on any of 3"
    )
    text = Page(write(tmp_path / "with", **{**study, "right": right}).read_text()).text
    assert "worse on 3 of 3" in text
    assert "McNemar" not in Page(write(tmp_path / "without", **study).read_text()).text


def test_a_head_is_known_by_its_name_without_its_embeddings() -> None:
    assert head_of("svc.setfit") == "svc"


def test_published_gaps_are_drawn_beside_sst2_alone() -> None:
    study = represented(splits=4)
    drawn = figures(study)
    labels = [text.get_text() for text in drawn["paired_differences"].figure.axes[0].texts]
    assert {"paper's best head +3.14", "paper, one encoder +0.65", "photonic heads −0.2"} <= set(labels)
    assert "paraphrase-mpnet-base-v2" in drawn["paired_differences"].caption
    assert "independent +3.6" in [text.get_text() for text in drawn["effects"].figure.axes[0].texts]
    other = figures({**study, "provenance": {"data hash": "0123456789abcdef"}})
    assert not any("paper" in text.get_text() for text in other["paired_differences"].figure.axes[0].texts)
    assert [gap.size for gap in published.QUANTUM_GAPS] == pytest.approx([0.0314, 0.0065, -0.0016])
    for gap in (*published.QUANTUM_GAPS, published.SETFIT_GAP):
        assert float(gap.what.split()[-1].replace("−", "-")) == pytest.approx(100 * gap.size, abs=0.05)


def test_a_bend_that_centre_points_show_is_told() -> None:
    ranges = (Factor("training.lr", low=0.003, high=0.03, scale="log"), Factor("training.weight_decay", low=0.0, high=0.01))
    design = build(settings_of("full_factorial", centre_points=2), ranges, seed=1)
    bent = told(synthetic(design, splits=6, hump=0.03))
    assert "Centre points minus what the corners predict: +3." in bent
    assert "accuracy bends between levels" in bent
    assert "no sign of a bend" in told(synthetic(design, splits=6))


def test_rows_are_picked_by_cross_validation_where_they_have_it() -> None:
    study = small()
    results = study["results"]
    crossed = results.assign(cv_accuracy=np.where(results["arm"] == "r02", 0.9, 0.5))
    assert best_by_validation(crossed) == "r02"
    assert best_by_validation(crossed) != best_by_validation(results)
    assert "The row picked by cross-validation, r02:" in told({**study, "results": crossed})
    unknown = crossed.assign(cv_accuracy=crossed["cv_accuracy"].where(crossed["row"].isna()))
    assert best_by_validation(unknown) == best_by_validation(results)  # classical heads alone have it
    some = crossed.assign(cv_accuracy=crossed["cv_accuracy"].where(crossed["arm"] == "r02"))
    assert best_by_validation(some) == best_by_validation(results)  # one row alone has it


def test_each_representation_says_what_its_row_was_picked_by() -> None:
    study = represented(splits=4)
    results = study["results"]
    tuned = results.assign(cv_accuracy=results["cv_accuracy"].where(results[REPRESENTATION] == "setfit"))  # frozen rows tune nothing
    by = {group.representation: group.picked_by for group in answered({**study, "results": tuned}).against}
    assert by == {"frozen": "validation", "setfit": "cross-validation"}


def test_baselines_are_ranked_by_what_all_of_them_have() -> None:
    study = small()
    accuracies = {"logistic": 0.7, "svc": 0.8, "mlp": 0.6}
    results = study["results"].assign(cv_accuracy=0.5)
    results["validation_accuracy"] = results["arm"].map(accuracies).fillna(results["validation_accuracy"]).astype(float)
    results.loc[results["arm"] == "mlp", "cv_accuracy"] = 0.9
    mains = main_effects(study["design"], results)

    def picked(table: pd.DataFrame) -> tuple[str, str]:
        what, _, remark = tiles(table, mains)[-1]
        return what, remark.partition(",")[0]

    assert picked(results) == ("Baseline picked by cross-validation", "mlp")
    results.loc[results["arm"] == "logistic", "cv_accuracy"] = np.nan  # it tunes nothing
    assert picked(results) == ("Baseline picked by validation", "svc")
    rows = {row["name"]: row["picking"] for row in row_table(study["design"], results)}
    assert (rows["r00"], rows["mlp"], rows["logistic"]) == ("50.0 %", "90.0 %", "–")
    qubits = figures({**study, "results": results})["qubits"]
    assert "svc" in [text.get_text() for text in qubits.figure.axes[0].texts]
    assert qubits.caption.endswith("the classical head with the highest validation accuracy.")


def test_only_quantum_rows_are_called_so() -> None:
    for quantum in (True, False):
        study = represented(splits=6) | {"quantum": quantum}
        drawn = figures(study)
        costs, paired = drawn["costs"].figure, drawn["paired_differences"]
        legend = costs.axes[-1].get_legend()
        assert legend
        words = [text.get_text() for text in legend.get_texts()]
        assert words[:2] == (["quantum rows", "classical heads"] if quantum else ["rows", "baselines"])
        assert ("best quantum row:" if quantum else "best row:") in costs.get_suptitle()
        assert paired.figure.axes[0].get_xlabel().endswith("right of it the quantum row" if quantum else "right of it the row")
        assert any("paper" in text.get_text() for text in paired.figure.axes[0].texts) == quantum  # published gaps
        assert ("Dotted" in paired.caption) == quantum
        text = told(study)
        assert ("quantum" in text) == quantum
        assert ("embeddings, quantum rows: +" if quantum else "embeddings, rows: +") in text
        assert ("No quantum row tests " if quantum else "No row tests ") in text


def test_heads_beside_the_rows_have_learning_curves_of_their_own() -> None:
    study = small()
    some = {key: epochs for key, epochs in study["curves"].items() if key.startswith("r00")}
    keys = study["results"].loc[study["results"]["arm"] == "mlp", "key"]
    curves = some | dict(zip(keys, some.values(), strict=True))
    figure = figures({**study, "curves": curves})["learning_curves"].figure
    assert {axes.get_title("left").partition(",")[0] for axes in figure.axes if axes.lines} == {"r00", "mlp"}


def test_the_headline_counts_what_is_missing() -> None:
    text = told(without(without(small(), lambda r: r.index == 0), lambda r: r.index == 1, "owed"))
    assert "Trials: 19 done, 1 failed, 1 still owed. These are interim results." in text
    assert "The study has no baselines" in told(STATES["no baselines"]())
    assert "No trial of the design has finished yet." in told(STATES["nothing done"]())
    assert "too few common splits for intervals" in told(STATES["one split"]())


def test_accuracy_against_qubits_has_a_line_for_each_representation() -> None:
    axes = figures(represented(splits=4))["qubits"].figure.axes[0]
    labels = [text.get_text() for text in axes.texts]
    assert {"quantum, frozen", "quantum, setfit"} <= set(labels)
    assert sum(label.endswith(" frozen") for label in labels) == 2  # the quantum rows and a classical head on the same embeddings
    assert len(axes.collections) == 2  # a band for each
    alone = synthetic(build(settings_of("full_factorial"), (QUBITS,), seed=1), splits=4)
    assert figures(alone)["qubits"].figure.axes[0].texts[0].get_text() == "quantum rows"
    assert "qubits" not in figures(synthetic(build(settings_of("full_factorial"), FACTORS[1:3], seed=1), splits=2))


def test_the_pareto_front_holds_what_nothing_cheaper_equals() -> None:
    arms = pd.DataFrame({"arm": list("abcde"), "cost": [1.0, 2, 2, 3, 4], "mean": [0.6, 0.7, 0.65, 0.7, 0.8]})
    assert list(pareto_front(arms)["arm"]) == ["a", "b", "e"]


def test_accuracy_is_set_against_energy_only_where_all_of_it_was_measured() -> None:
    study = small()
    labels = [axes.get_xlabel() for axes in figures(study)["costs"].figure.axes]
    assert labels == ["trained parameters (log scale)", "joules per trial, measured (log scale)"]
    modelled = {**study, "costs": study["costs"].assign(energy_method="modelled")}
    assert figures(modelled)["costs"].figure.axes[1].get_xlabel() == "joules per trial, modelled (log scale)"
    study["costs"].loc[0, "energy_j"] = np.nan
    labels = [axes.get_xlabel() for axes in figures(study)["costs"].figure.axes]
    assert labels[1] == "seconds per trial (log scale); energy was not measured"
    assert arm_means(study["results"], study["costs"])["energy_j"].isna().sum() == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("splits", "intervals"), [(1, False), (2, False), (3, True)])
def test_intervals_are_spoken_of_only_where_there_are_any(splits: int, intervals: bool, tmp_path: Path) -> None:
    study = synthetic(build(settings_of("full_factorial"), FACTORS[:1], seed=1), splits)
    section = Page(write(tmp_path, **study).read_text()).text.split("Against classical heads")[-1].split("What accuracy costs")[0]
    assert ("too few for an interval" in section) != intervals
    drawn = figures(study)
    assert ("Thick" in drawn["paired_differences"].caption) == intervals
    assert ("without intervals" in drawn["paired_differences"].figure.get_suptitle()) != intervals


def test_costs_are_ratios_of_levels() -> None:
    study = small()
    heading, lines = cost_effects(study["design"], study["results"], study["costs"])
    assert heading == ["Factor", "Change", "Training time", "Energy"]
    qubits = next(line for line in lines if line[0] == "qubits")
    assert float(qubits[2].split()[1]) == pytest.approx(2, rel=0.05)
    assert float(qubits[3].split()[1]) == pytest.approx(2, rel=0.05)


def test_trials_that_were_not_chosen_have_their_costs_told() -> None:
    study = small()
    folds = study["costs"].assign(key="fold of " + study["costs"]["key"], train_s=10.0, energy_j=np.nan)
    lines = cost_rows(study["results"], pd.concat([study["costs"], folds]))
    assert [line["group"] for line in lines][-1] == "all trials, with folds and candidates not chosen"
    whole = study["costs"]["train_s"].sum() + 10 * len(folds)
    assert lines[-1]["Training time"].endswith(f", {duration(whole)} in all")
    assert lines[-1]["Energy"].endswith(f"in all, measured for {len(study['costs'])}")
    assert len(cost_rows(study["results"], study["costs"])) == len(lines) - 1


def test_joules_are_told_by_phase_and_in_all_with_the_grid_they_assume() -> None:
    study = small()
    costs = study["costs"].assign(net_energy_j=20.0, training_j=np.nan, inference_j=3.0)
    heading, lines = phase_rows(study["results"], costs)
    assert heading == ["Arm", "Gross", "Net", "Inference"], "what was never measured has no column"
    assert all(line[2:] == ["20 J", "3 J"] for line in lines)
    assert phase_rows(study["results"], costs.assign(energy_j=np.nan))[1] == []
    energy = StudyEnergy(embeddings_j=1500.0, embedded=300, nodes_j={"n1": 4000.0, "n2": None})
    said = totals(costs.assign(energy_j=3.6e6 / len(costs)), energy, 400.0)
    assert said[0] == "All trials of which it is known: 3.6 MJ, which is 1 kWh, 400 g of CO2 at 400 g per kWh."
    assert said[1:] == [
        "Embeddings of 300 sentences, computed once for all: 1.5 kJ.",
        "By node, while its devices were held: n1 4 kJ, n2 not measured.",
    ]
    assert "CO2" not in totals(costs, energy, None)[0]
    assert totals(costs.assign(energy_j=np.nan), energy, 400.0) == []


def test_trials_that_shared_a_process_are_no_repetitions_of_its_cost() -> None:
    study = small()
    lines = [cost_effects(study["design"], study["results"], study["costs"].assign(pack=pack))[1] for pack in (study["costs"]["pack"], "p")]
    assert [line[0] for line in lines[0]] == [line[0] for line in lines[1]]
    assert all("(" in line[-1] for line in lines[0])
    assert [line[-1].split(" (")[0] for line in lines[0]] == [line[-1] for line in lines[1]]


def test_costs_of_nodes_that_differ_do_not_pass_for_costs_of_factors() -> None:
    study = small()
    hot = np.arange(len(study["costs"])) % 3 == 0
    hosts = study["costs"].assign(host=np.where(hot, "n1", "n2"))
    hosts["energy_j"] *= np.where(hot, 5.0, 1.0)
    cool = cost_effects(study["design"], study["results"], study["costs"])[1]
    blocked = cost_effects(study["design"], study["results"], hosts)[1]
    assert [line[-1].split(" (")[0] for line in blocked] == [line[-1].split(" (")[0] for line in cool]


def test_energy_that_was_not_measured_is_never_a_number() -> None:
    study = small()
    none = study["costs"].assign(energy_j=np.nan, energy_scope=None, energy_method=None, energy_window_s=np.nan)
    assert energy_note(none, "no GPU, no RAPL") == "Energy was not measured: no GPU, no RAPL."
    assert energy_note(none, "") == "Energy was not measured: no meter ran in all of their attempts."
    heading, _ = cost_effects(study["design"], study["results"], none)
    assert "Energy" not in heading
    some = study["costs"].copy()
    some.loc[:4, "energy_j"] = np.nan
    assert energy_note(some).startswith("Energy was measured for 16 of 21 trials that started (package, counter); for the rest it was not")
    assert "windows" not in energy_note(study["costs"])
    some.loc[:6, "energy_window_s"] = 9.9  # of which five have no energy
    assert energy_note(some).endswith("2 of these numbers come from windows shorter than 10 s, in which meters say little.")
    assert "All of these numbers come" in energy_note(some.assign(energy_window_s=3.0))
    assert energy_note(some, None, ["the meter of n1 died"]).count("for the rest it was not: the meter of n1 died.") == 1
    assert energy_note(some.assign(energy_method="modelled, by device-seconds")).startswith("Energy was modelled for ")
    assert energy_note(study["costs"].assign(attempts=0)) == "Nothing has been run yet."


def test_rows_are_shown_real_and_coded_with_the_pick_marked() -> None:
    study = without(synthetic(build(settings_of("latin_hypercube", rows=8), FACTORS[4:6], seed=1), splits=2), lambda r: r.index == 0)
    rows = row_table(study["design"], study["results"])
    assert [row["name"] for row in rows[-3:]] == ["logistic", "mlp", "svc"]
    assert sum(row["best"] for row in rows) == 1
    assert rows[0]["trials"] == "1 of 2"
    lr, coded = rows[0]["settings"][0]
    assert float(lr) == pytest.approx(0.003 * 10 ** ((float(coded.replace("−", "-")) + 1) / 2), rel=0.03)


@pytest.mark.parametrize(("value", "text"), [(0.0312, "+3.1"), (-0.0004, "0.0"), (-0.012, "−1.2"), (0.0, "0.0")])
def test_points_carry_a_sign(value: float, text: str) -> None:
    assert signed(value) == text


def test_numbers_are_written_for_people() -> None:
    assert points(-0.0312) == "3.1 points"
    assert points(0.01) == "1.0 point"
    assert points(0.0003) == "0.03 points"
    assert between((0.0003, 0.0213)) == "+0.03 to +2.13"
    assert plus_minus(0.008, (0.005, 0.011)) == "0.8 ± 0.3"
    assert plus_minus(0.0262, (0.0003, 0.0521)) == "2.62 ± 2.59"  # one digit would hide that it differs from zero
    assert plus_minus(-0.0312, None) == "3.1"
    assert signed_plus_minus(-0.008, (-0.011, -0.005)) == "−0.8 ± 0.3"
    assert [duration(seconds) for seconds in (0.5, 90, 300, 8000, 200_000)] == ["0.5 s", "90 s", "5 min", "2.22 h", "2.31 d"]
    assert [joules(energy) for energy in (12.34, 1500, 2.5e6)] == ["12.3 J", "1.5 kJ", "2.5 MJ"]
    assert [joules(energy) for energy in (0.0, -0.0114, 8.97e-7)] == ["0 J", "-11.4 mJ", "897 nJ"]


def test_labels_never_come_closer_than_the_gap() -> None:
    wanted: Array = np.array([1.0, 5.0, 1.05, 1.1])
    placed = plotting.spread_labels(wanted, 0.2)
    assert placed == pytest.approx([1.0, 5.0, 1.2, 1.4])
