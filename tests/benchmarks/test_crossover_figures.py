"""The pictures of docs/crossover.md and Lightning's passes: no picture without its assumptions, the values of the reference."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from benchmarks import crossover_figures as figures
from benchmarks.inference import by_lightning
from hadamard.orchestrator.commands.crossover.models import Inputs
from hadamard.orchestrator.commands.crossover.text import value_of
from hadamard.orchestrator.timing.paper_head import paper_head
from hadamard.orchestrator.timing.simulators import prepare_reference
from tests.orchestrator.commands.test_crossover import result


def in_figure(figure: Figure) -> str:
    """Return all that a figure says, on one line."""
    said = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return re.sub(r"\s+", " ", " ".join(said))


@pytest.mark.parametrize("watts", [None, 6.0])
def test_no_picture_without_its_assumptions(watts: float | None) -> None:
    everything = result(watts)
    assumed = figures.assumptions(everything)
    for name, one in everything.scenarios.items():
        (line,) = [line for line in assumed if line.startswith(name)]
        for field in Inputs.model_fields:
            assert value_of(field, getattr(one.inputs, field)) in line, field
    for line in assumed:
        assert line in in_figure(figures.energy_figure(everything))
    for line in assumed[:3]:
        assert line in in_figure(figures.tornado(everything))


def test_pictures_are_small_files(tmp_path: Path) -> None:
    for path in figures.draw(result(6.0), tmp_path).values():
        with Image.open(path) as image:
            assert image.width == 1920
        assert path.stat().st_size < 250_000


@pytest.mark.filterwarnings("ignore")  # PennyLane warns of other packages' versions
def test_tapes_give_the_values_of_the_reference() -> None:
    case = paper_head(4, 6)
    expected = np.asarray(prepare_reference(case)()[0])
    passes = by_lightning(case, "lightning.qubit")
    assert passes.second_module is not None
    np.testing.assert_allclose(passes.head(), expected, atol=2e-6)
    np.testing.assert_allclose(passes.second_module(), expected, atol=2e-6)
