"""Runs a study from its file to its report: check, enter the trials in the ledger, embed, sweep, ship, report.

Owns the order of these steps. Does not own any of them.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from cluster.allocation import Allocation, detect
from cluster.energy import why_not_measured
from cluster.launch import environment
from model import embeddings
from model.errors import UserError
from model.settings import Trial, TrialSettings
from orchestrator import tracking
from orchestrator.design.design import build
from orchestrator.ledger import Ledger, TrialRecord, explained_disk_errors
from orchestrator.plan import Plan, check_fit, expected_seconds, make_plan, pack_up
from orchestrator.plan_view import drawn, duration
from orchestrator.progress import Progress
from orchestrator.provenance import provenance
from orchestrator.results import costs_table, curves, failure_lines, results_table
from orchestrator.study import load

State = Literal["complete", "failures", "interrupted"]


def run_study(path: Path, overrides: Sequence[str], directory: Path | None, dashboard: bool) -> State:
    """Do what the study owes and write its report; return how it ended.

    Raises:
        UserError: Anything that can be known beforehand to be wrong; nothing has been written then.
    """
    console = Console(highlight=False, soft_wrap=True)
    study = load(path, overrides)
    plan = make_plan(study)
    ledger = Ledger(directory or Path("runs") / study.study)
    allocation = detect()
    owed = [record.trial for record in ledger.records(plan.trials) if record.owed]
    ledger.check(study, len(owed))
    packs = pack_up(owed, allocation.cpus)
    check_fit(packs, allocation)
    _check_simulators(owed)
    seconds = expected_seconds(packs, allocation.cpus)
    console.print(
        f"{study.study}: {len(plan.design.rows)} rows x {study.design.splits} splits, {len(plan.trials)} trials with baselines; "
        f"{len(owed)} owed in {len(packs)} packs on {allocation.cpus} cores ({allocation.source}); expected {duration(seconds)}"
    )
    with explained_disk_errors(ledger.directory), ledger.owned():
        ledger.enter(plan.trials)
        ledger.save_study(study, plan.trials, provenance(plan, _study_id(ledger)))
        if owed:
            _embed(owed, allocation, console)
            _sweep(ledger, plan, owed, allocation, dashboard, console)
        records = ledger.records(plan.trials)
        shipment = tracking.ship(ledger, plan)
        page = _write_report(ledger, plan, records)
    return _say_end(console, ledger, plan, records, shipment, page)


def write_report(directory: Path) -> Path:
    """Write the report of a study's directory; return the page."""
    ledger, plan = opened(directory)
    with explained_disk_errors(directory):
        return _write_report(ledger, plan, ledger.records(plan.trials))


def ship_study(directory: Path, everything: bool) -> str:
    """Bring MLflow up to date with a study's directory; return what was done, in words.

    Raises:
        UserError: MLflow could not be reached or did not take it.
    """
    ledger, plan = opened(directory)
    if everything:
        ledger.shipped.unlink(missing_ok=True)
    shipment = tracking.ship(ledger, plan)
    where = tracking.tracking_uri(ledger)
    if shipment.error:
        raise UserError(
            f"MLflow at {where}: {shipment.error}. {shipment.runs} of {len(plan.trials)} trials are there; give the command again later"
        )
    return f"{shipment.runs} of {len(plan.trials)} trials are complete in MLflow at {where}"


def opened(directory: Path) -> tuple[Ledger, Plan]:
    """Return ledger and plan of a study that has been run, from its directory alone."""
    ledger = Ledger.existing(directory)
    study = ledger.load_study()
    design = build(study.design, study.factor_list(), study.seed)
    values = {row.name: row.values for row in design.rows}
    trials = [trial.model_copy(update={"factors": values.get(trial.arm, {})}) for trial in ledger.load_trials()]
    return ledger, Plan(study, design, tuple(trials))


def _sweep(ledger: Ledger, plan: Plan, owed: list[Trial], allocation: Allocation, dashboard: bool, console: Console) -> None:
    from orchestrator.sweep import ray_cluster, run_packs

    with ray_cluster(allocation, dashboard) as cluster:
        if cluster.dashboard:
            console.print(f"Ray dashboard: {cluster.dashboard} (asks once for the token that `ray get-auth-token` prints)")
        with tracking.BackgroundShipper(ledger, plan), Progress(ledger, plan.trials, owed, console):
            run_packs(ledger, pack_up(owed, allocation.cpus), plan.study.study)


def _embed(trials: Sequence[Trial], allocation: Allocation, console: Console) -> None:
    """Compute the embeddings that are not cached, in a process of its own: the driver stays without torch."""
    missing: dict[Path, TrialSettings] = {
        file: trial.settings for trial in trials if not (file := embeddings.cached_file(trial.data_hash, trial.encoder_hash)).exists()
    }
    for settings in missing.values():
        console.print(f"computing embeddings of {settings.data.name} by {settings.sentence_encoder.name}, once")
        command = [sys.executable, "-m", "model.embeddings", settings.model_dump_json(), str(allocation.cpus)]
        done = subprocess.run(command, env=environment(allocation.cpus), stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise UserError(f"the embeddings could not be computed (exit code {done.returncode}): {done.stderr[-2000:].strip()}")


def _check_simulators(trials: Sequence[Trial]) -> None:
    """Open every PennyLane device that is asked for by name: better refused now than in each trial."""
    names = {trial.settings.simulator for trial in trials} - {"torch"}
    if names:
        from model.simulators import choose

        for name in sorted(names):
            choose(name)


def _write_report(ledger: Ledger, plan: Plan, records: Sequence[TrialRecord]) -> Path:
    from orchestrator.report import page

    return page.write(
        ledger.report,
        study=_headline(plan),
        design=plan.design,
        results=results_table(plan, records),
        costs=costs_table(records),
        curves=curves(records),
        provenance=ledger.provenance()["shown"],
    )


def _headline(plan: Plan) -> dict[str, str]:
    study = plan.study
    return {
        "name": study.study,
        "design": f"{plan.design.kind}, {len(plan.design.rows)} rows x {study.design.splits} splits",
        "data": f"{study.data.name}; {drawn(study.data)}",
        "sentence encoder": study.sentence_encoder.name,
        "head": ", ".join(f"{name} {value}" for name, value in study.head.model_dump().items()),
        "training": ", ".join(f"{name} {value}" for name, value in study.training.model_dump().items()),
        "simulator": study.simulator,
        "energy": why_not_measured() or "measured per pack, shared by seconds",
    }


def _study_id(ledger: Ledger) -> str:
    return str(ledger.provenance()["study_id"]) if ledger.study_file.exists() else uuid.uuid4().hex


def _say_end(
    console: Console, ledger: Ledger, plan: Plan, records: Sequence[TrialRecord], shipment: tracking.Shipment, page: Path
) -> State:
    done, failed = ([record for record in records if record.status == status] for status in ("done", "failed"))
    owed = len(records) - len(done) - len(failed)
    console.print(f"done {len(done)}, failed {len(failed)}, owed {owed} of {len(records)} trials")
    for line in failure_lines(failed):
        console.print(f"  {line}", markup=False)
    console.print(f"report:  {page}")
    uri = tracking.tracking_uri(ledger)
    console.print(f"MLflow:  mlflow ui --backend-store-uri {uri}" if uri.startswith("sqlite") else f"MLflow:  {uri}")
    if shipment.error:
        console.print(f"         {shipment.runs} of {len(records)} trials are there ({shipment.error})")
        console.print(f"         hadamard ship {ledger.directory}   sends the rest")
    if owed:
        console.print("stopped before the end; the same command goes on where this one was")
        return "interrupted"
    return "failures" if failed else "complete"
