"""One of the two studies that are compared: its plan, what its ledger holds, and what it cost."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hadamard.orchestrator.energy.attribution import study_energy
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.results.tables import costs, results_table
from hadamard.orchestrator.study.expansion import Plan


@dataclass(frozen=True)
class Side:
    """A study, and what its ledger holds."""

    name: str
    """Its directory, as given."""
    plan: Plan
    records: Sequence[TrialRecord]

    @functools.cached_property
    def results(self) -> pd.DataFrame:
        """One line per arm and split; see `results_table`."""
        return results_table(self.plan, self.records)

    @property
    def done(self) -> list[TrialRecord]:
        """The finished trials."""
        return [record for record in self.records if record.status == "done"]


@dataclass(frozen=True)
class Cost:
    """What the finished trials of a study took; None unless measured for all of them."""

    train_s: float | None
    energy_j: float | None


def cost_of(side: Side) -> Cost:
    """Add up what the finished trials of a study took."""
    energy = study_energy(Path(side.name), side.records)
    by_trial = [costs(record, energy) for record in side.done]
    return Cost(_sum([cost["train_s"] for cost in by_trial]), _sum([cost["energy_j"] for cost in by_trial]))


def _sum(values: Sequence[float | None]) -> float | None:
    """Return the sum; None if any part was not measured."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
