"""The facts that follow-up designs rest on: finished trials, their noise, and the rows that can still be run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from hadamard.model.errors import UserError
from hadamard.orchestrator.analysis.effects import Effects, main_effects
from hadamard.orchestrator.analysis.inference import ErrorTerm, scatter
from hadamard.orchestrator.analysis.observations import Observed, observed, setting_noise
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.design.factors import Factor, shortly_named
from hadamard.orchestrator.ledger.ledger import FINAL_CAUSES, TrialRecord
from hadamard.orchestrator.results.tables import results_table
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.study.schema import Study


class AugmentError(UserError):
    """There is nothing yet that a follow-up could be proposed from."""


@dataclass(frozen=True)
class Proposal:
    """A larger study that holds all trials of this one."""

    name: str
    why: str
    settings: tuple[str, ...] = ()
    """As `--set` takes them; none: the study as it is."""


@dataclass(frozen=True)
class Known:
    """The study, and what its finished trials say."""

    study: Study
    design: Design
    reachable: Design
    """The rows without those that failed in every split in a way that would repeat itself."""
    records: Sequence[TrialRecord]
    results: pd.DataFrame
    effects: Effects
    noise: ErrorTerm

    @property
    def named(self) -> list[Factor]:
        """The factors by their short names, as people read of them."""
        return shortly_named(self.design.factors)


def known_of(plan: Plan, records: Sequence[TrialRecord]) -> Known:
    """Return what the ledger's records say.

    Args:
        plan: The study.
        records: Of all its trials.

    Raises:
        AugmentError: No trial of the design has finished.
    """
    results = results_table(plan, records)
    seen = observed(plan.design, results, "test_accuracy")
    if not len(seen.rows):
        raise AugmentError(
            f"no trial of the design of {plan.study.study} has finished yet, so there is nothing to propose from: run it first, "
            "or see what it can show by `hadamard plan`"
        )
    hopeless = (results["status"] == "failed") & results["cause"].isin(FINAL_CAUSES)
    some = set(results.loc[results["row"].notna() & ~hopeless, "row"])
    reachable = replace(plan.design, rows=tuple(row for row in plan.design.rows if row.index in some))
    effects = main_effects(plan.design, results)
    return Known(plan.study, plan.design, reachable, records, results, effects, _noise(seen, effects))


def _noise(seen: Observed, effects: Effects) -> ErrorTerm:
    """Return the scatter of trials within rows and splits; with too few of them, of trials about the main effects."""
    return scatter("trials", setting_noise(seen)) or effects.error
