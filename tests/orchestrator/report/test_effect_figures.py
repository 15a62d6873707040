"""Figures of effects from tables made by hand: what they show, and what their titles say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hadamard.orchestrator.analysis.effects import Effect, Effects
from hadamard.orchestrator.analysis.inference import ErrorTerm
from hadamard.orchestrator.design.factors import Factor
from hadamard.orchestrator.report.effect_figures import MOST_EFFECTS, forest, half_normal_plot, interactions, main_effects
from hadamard.orchestrator.report.published import Gap

QUBITS, LR = Factor("head.qubits", levels=(4, 6)), Factor("training.lr", low=0.01, high=0.1, scale="log")


def effect(label: str, estimate: float, half: float | None = 0.01, factors: tuple[int, ...] = (0,)) -> Effect:
    """Return an effect whose joint interval is twice as wide as its own."""
    if half is None:
        return Effect(label, "4 → 6", factors, estimate, 1.0)
    alone, together = (estimate - half, estimate + half), (estimate - 2 * half, estimate + 2 * half)
    return Effect(label, "4 → 6", factors, estimate, 1.0, standard_error=half / 2, interval=alone, simultaneous=together)


def table(*effects: Effect) -> Effects:
    return Effects("test_accuracy", mean=0.7, effects=effects, error=ErrorTerm("residual", 0.01, 10), rows=4, trials=8, splits=2)


def means(*levels: tuple[float, str, float], low: float | None = 0.0) -> pd.DataFrame:
    columns = ["coded", "label", "mean", "low", "high"]
    return pd.DataFrame([((at,), (label,), mean, low, None if low is None else 1.0) for at, label, mean in levels], columns=columns)


@pytest.mark.parametrize(
    ("effects", "title"),
    [
        ([effect("qubits", 0.05), effect("lr", -0.01)], "1 effect stands out when all 2 are looked at together"),
        ([effect("qubits", 0.01), effect("lr", -0.01)], "No effects stand out when all 2 are looked at together"),
        ([effect("qubits", 0.05)], "qubits stands out from noise"),
        ([effect("qubits", 0.001)], "qubits does not stand out from noise"),
        ([effect("qubits", 0.05, None)], "Effects without intervals: too few trials to measure noise"),
    ],
)
def test_the_forest_counts_what_stands_out(effects: list[Effect], title: str) -> None:
    assert forest(table(*effects), {}).get_suptitle() == title


def test_of_many_effects_the_largest_are_shown_the_largest_on_top() -> None:
    figure = forest(table(*(effect(f"e{at}", at / 1000) for at in range(MOST_EFFECTS + 3))), {"e20": Gap("theirs", 0.02, "a paper")})
    labels = [label.get_text().split()[0] for label in figure.axes[0].get_yticklabels()]
    assert (len(labels), labels[0], labels[-1]) == (MOST_EFFECTS, "e3", f"e{MOST_EFFECTS + 2}")
    assert "theirs" in [text.get_text() for text in figure.axes[0].texts]


def test_main_effects_have_a_panel_per_factor_with_its_size() -> None:
    panels = [means((-1, "4", 0.68), (1, "6", 0.72)), means((-1, "0.01", 0.7), (1, "0.1", 0.69))]
    figure = main_effects(table(effect("qubits", 0.04), effect("lr", -0.01, factors=(1,))), (QUBITS, LR), panels)
    assert figure.get_suptitle() == "The largest effect: qubits, +4.0 points"
    assert [axes.get_title("left").strip() for axes in figure.axes] == ["qubits", "lr"]
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["+4.0 points", "−1.0 points"]
    missing = main_effects(table(effect("qubits", 0.04)), (QUBITS, LR), panels)
    assert missing.axes[1].texts[0].get_text() == "cannot be estimated"


def test_a_numeric_factor_of_many_levels_is_a_cloud_with_the_fitted_line() -> None:
    cloud = pd.DataFrame({"coded": [(at,) for at in np.linspace(-1, 1, 9)], "mean": np.linspace(0.6, 0.7, 9)})
    axes = main_effects(table(effect("lr", 0.1)), (LR,), [cloud]).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.1"]
    line = axes.lines[-1]
    assert np.diff(line.get_ydata()) == pytest.approx(10), "from low to high by the effect, in points"


def test_the_half_normal_plot_names_what_is_more_than_noise() -> None:
    effects = [effect(f"e{at}", 0.001 * at) for at in range(6)] + [effect("large", 0.1)]
    figure = half_normal_plot(table(*effects))
    assert figure.get_suptitle() == "1 effect rises clearly from the line of noise"
    assert "large" in [text.get_text() for text in figure.axes[0].texts]
    assert "e1" not in [text.get_text() for text in figure.axes[0].texts]


def test_an_interaction_has_a_line_per_level_of_the_second_factor() -> None:
    cells = [((x, y), (f"{x:g}", f"{y:g}"), 0.7 + 0.01 * x * y, 0.69, 0.71) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]
    frame = pd.DataFrame(cells, columns=["coded", "label", "mean", "low", "high"])
    crossed = effect("qubits × lr", 0.03, factors=(0, 1))
    figure = interactions(table(crossed), [(crossed, "qubits", "lr", frame)])
    assert figure.get_suptitle() == "1 pair of factors interacts"
    legend = figure.axes[0].get_legend()
    assert legend
    assert [text.get_text() for text in legend.get_texts()] == ["lr -1", "lr 1"]
