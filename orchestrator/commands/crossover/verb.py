"""`hadamard energy` from its options to what is printed.

Owns reading the options and the files that are written. Does not own measuring, models or layout.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hadamard.model.errors import UserError
from hadamard.model.files.atomic import why_not_writable, write_atomically
from hadamard.orchestrator.commands.bench.verb import say, sizes_in
from hadamard.orchestrator.commands.crossover import figures, page, show
from hadamard.orchestrator.commands.crossover.cell import counting_meter
from hadamard.orchestrator.commands.crossover.findings import findings
from hadamard.orchestrator.commands.crossover.measured import Measured, chosen, measure_all, read_measured, stated_watts
from hadamard.orchestrator.commands.crossover.scenarios import read_scenarios

QUBITS = "4,6,8,10,12,14,16,17,18,19,20,21,22,23,24"
LIMIT_S = 60.0
MOST_QUBITS = 40


@dataclass(frozen=True)
class Request:
    """What to measure; None: as usual.

    Attributes:
        qubits: Sizes, separated by commas.
        simulators: Names, separated by commas.
        limit_s: What the first pass over a batch may take.
    """

    qubits: str | None = None
    simulators: str | None = None
    limit_s: float | None = None


def energy(scenarios: Path, request: Request, saved: Path | None, watts: float | None, directory: Path, as_json: bool) -> str:
    """Measure, or read what was measured, and write `energy.html`, `energy.png`, `crossover.png` and `measured.json`.

    Args:
        scenarios: The inputs of the models.
        request: What to measure.
        saved: What an earlier run measured: then nothing is measured now.
        watts: Of a busy core, to model joules by where no counter is.
        directory: Where the files go.
        as_json: Whether JSON is wanted.

    Returns:
        Tables and answers, or JSON.

    Raises:
        UserError: An option or the file of scenarios is not valid.
    """
    stated = read_scenarios(scenarios)
    if why := why_not_writable(directory):
        raise UserError(f"--out {directory}: {why}")
    if saved and (request != Request()):
        raise UserError(
            "--from takes what was measured; --qubits, --simulators and --limit-s say what to measure: leave one or the other out"
        )
    watts = watts if watts is not None else stated_watts(os.environ)
    if watts is not None and not saved and counting_meter() is not None:
        raise UserError("--watts models joules where no counter is; here there is one, and the two are never mixed: leave --watts out")
    measured = read_measured(saved) if saved else _measure(request)
    directory.mkdir(parents=True, exist_ok=True)  # what took minutes to measure is kept whatever comes next
    write_atomically(directory / "measured.json", measured.model_dump_json(indent=1) + "\n")
    found = findings(stated, measured, watts)
    pictures = figures.draw(found, directory)
    files = [page.write(found, pictures, directory), *pictures.values(), directory / "measured.json"]
    return show.as_json(found, files) if as_json else show.as_text(found, files)


def _measure(request: Request) -> Measured:
    sizes = sizes_in(request.qubits or QUBITS)
    if sizes[-1] > MOST_QUBITS:
        raise UserError(
            f"--qubits {sizes[-1]}: at most {MOST_QUBITS} can be measured, and memory ends long before; larger ones are extrapolated"
        )
    names = [name.strip() for name in (request.simulators or "").split(",") if name.strip()]
    measured = measure_all(chosen(names), sizes, request.limit_s or LIMIT_S, say)
    say("")
    return measured
