"""`hadamard report`: the report of what is done so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hadamard.cluster.energy.choice import why_not_measured
from hadamard.cluster.energy.recorder import recordings
from hadamard.model.settings import Settings
from hadamard.orchestrator.design.factors import value_text
from hadamard.orchestrator.energy.attribution import study_energy
from hadamard.orchestrator.energy.slurm_accounting import cross_checks
from hadamard.orchestrator.ledger.ledger import Ledger, TrialRecord, explained_disk_errors
from hadamard.orchestrator.ledger.reopen import reopen
from hadamard.orchestrator.ledger.resource_log import runs_used
from hadamard.orchestrator.planning import feedback
from hadamard.orchestrator.planning.words import simulators_in_words, split_sizes
from hadamard.orchestrator.results.tables import costs_table, curves, results_table, right_sentences
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.study.schema import REPRESENTATION, Study
from hadamard.slurm import jobs


def write_report(directory: Path) -> Path:
    """Write the report of a study's directory; return the page."""
    ledger, plan = reopen(directory)
    with explained_disk_errors(directory):
        return report_of(ledger, plan, ledger.records(plan.trials))


def report_of(ledger: Ledger, plan: Plan, records: Sequence[TrialRecord]) -> Path:
    """Write the report of a study whose trials have these records; return the page."""
    from hadamard.orchestrator.report import page

    in_jobs = [run for run in runs_used(ledger.directory) if run.job is not None]
    checked = cross_checks(in_jobs, recordings(ledger.directory), jobs.consumed_energy_j) if in_jobs else ()
    energy = replace(study_energy(ledger.directory, records), checked=checked)
    return page.write(
        ledger.report,
        study=_at_a_glance(plan, records),
        quantum=plan.study.head.simulated,
        design=plan.design,
        results=results_table(plan, records),
        costs=costs_table(records, energy, plan.study.grid_g_per_kwh),
        energy=energy,
        grid_g_per_kwh=plan.study.grid_g_per_kwh,
        curves=curves(records),
        right=right_sentences(records),
        provenance=ledger.provenance()["shown"],
        planned=[row for last in feedback.comparisons(ledger.directory)[-1:] for row in feedback.table_rows(last)],
    )


def _at_a_glance(plan: Plan, records: Sequence[TrialRecord]) -> dict[str, str]:
    study = plan.study
    ran = sorted({record.result["simulator"] for record in records if record.result and record.result["simulator"]})
    return {
        "name": study.study,
        "data": f"{study.data.name}; {split_sizes(study.data)}",
        "sentence encoder": study.sentence_encoder.name
        + ("" if REPRESENTATION in study.factors else f", {study.sentence_encoder.representation}"),
        "head": _fixed(study, "head"),
        "training": _fixed(study, "training"),
        "simulator": ", ".join(ran) or simulators_in_words(plan.trials),
        "energy": why_not_measured(),
    }


def _fixed(study: Study, group: str) -> str:
    """Return a group's settings that are no factors, in words; of settings within settings, those that are not the default."""
    words = []
    for name, value in getattr(study, group):
        if isinstance(value, Settings):
            default = type(value)()
            inner = [f"{part} {value_text(setting)}" for part, setting in value if setting != getattr(default, part)]
            words.append(f"{name} {', '.join(inner) or 'none'}")
        elif f"{group}.{name}" not in study.factors:
            words.append(f"{name} {value_text(value)}")
    return ", ".join(words)
