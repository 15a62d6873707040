"""The findings as one HTML page that stands alone, in the look of the report.

Owns what the page shows and in which order. Does not own numbers, sentences or pictures.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import jinja2

from hadamard.model.files.atomic import write_atomically
from hadamard.orchestrator import report
from hadamard.orchestrator.commands.crossover import show, words
from hadamard.orchestrator.commands.crossover.findings import Findings
from hadamard.orchestrator.commands.crossover.models import ENERGY


def write(found: Findings, pictures: Mapping[str, Path], directory: Path) -> Path:
    """Write `energy.html` with its pictures in it; return its path."""
    places = [Path(__file__).parent, Path(report.__file__).parent]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(places), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    assumed = words.assumptions(found)
    page = environment.get_template("energy.html.j2").render(
        answers=words.answers(found),
        models=ENERGY,
        tables=show.tables(found),
        unmeasured=show.unmeasured(found),
        assumptions={"energy": assumed, "crossover": assumed[: len(found.modelled) + 1]},
        pictures={name: base64.b64encode(path.read_bytes()).decode() for name, path in pictures.items()},
    )
    write_atomically(directory / "energy.html", page)
    return directory / "energy.html"
