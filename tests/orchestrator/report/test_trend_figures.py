"""Figures of accuracy over qubits and over epochs: lines, bands and titles."""

from __future__ import annotations

import pandas as pd
import pytest

from hadamard.orchestrator.analysis.effects import Effect
from hadamard.orchestrator.report.trend_figures import Trend, learning_curves, qubit_trend


def trend(label: str, baseline: tuple[str, float] | None = None, band: bool = True) -> Trend:
    low, high = ([0.68, 0.70], [0.70, 0.74]) if band else ([None] * 2, [None] * 2)
    return Trend(label, pd.DataFrame({"qubits": [4, 8], "mean": [0.69, 0.72], "low": low, "high": high}), baseline)


def effect(estimate: float, half: float) -> Effect:
    interval = (estimate - half, estimate + half)
    return Effect("qubits", "4 → 8", (0,), estimate, 1.0, interval=interval, simultaneous=interval)


@pytest.mark.parametrize(
    ("change", "title"),
    [
        (effect(0.03, 0.01), "Accuracy rises with qubits: +3.0 ± 1.0 points, 4 → 8"),
        (effect(-0.03, 0.01), "Accuracy falls with qubits: −3.0 ± 1.0 points, 4 → 8"),
        (effect(0.01, 0.03), "Accuracy does not clearly change with qubits: +1.0 ± 3.0 points, 4 → 8"),
        (None, "Accuracy against qubits"),
    ],
)
def test_the_title_says_where_accuracy_goes(change: Effect | None, title: str) -> None:
    assert qubit_trend([trend("quantum rows")], change).get_suptitle() == title


def test_each_trend_has_its_line_its_band_and_its_baseline() -> None:
    axes = qubit_trend([trend("frozen", ("svc, frozen", 0.8)), trend("setfit", band=False)], None).axes[0]
    assert [text.get_text() for text in axes.texts] == ["frozen", "svc, frozen", "setfit"]
    assert len(axes.collections) == 1, "the second has no interval"
    assert list(axes.get_xticks()) == [4, 8]
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [80]


def test_learning_curves_tell_training_minus_validation_at_the_end() -> None:
    epochs = [
        {"epoch": epoch, "train_accuracy": 0.6 + 0.1 * epoch + 0.02 * (split - 0.5), "validation_accuracy": 0.6 + 0.05 * epoch}
        for epoch in (1, 2)
        for split in (0, 1)
    ]
    figure = learning_curves([("r00", pd.DataFrame(epochs)), ("r01", pd.DataFrame(epochs).assign(validation_accuracy=0.8))])
    assert figure.get_suptitle() == "Training minus validation accuracy at the last epoch: +0 to +10 points"
    assert [line.get_ydata()[-1] for line in figure.axes[0].lines] == pytest.approx([80, 70])
