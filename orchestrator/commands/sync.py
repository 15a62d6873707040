"""`hadamard sync`: sends to MLflow what it does not have yet of a study."""

from __future__ import annotations

from pathlib import Path

from hadamard.model.errors import UserError
from hadamard.orchestrator.ledger.reopen import reopen
from hadamard.orchestrator.tracking import mlflow_sync
from hadamard.orchestrator.tracking.address import tracking_uri, without_password


def sync_study(directory: Path, everything: bool) -> str:
    """Bring MLflow up to date with a study's directory; return in a sentence what it has.

    Args:
        directory: Of the study.
        everything: Whether to look at every trial again.

    Raises:
        UserError: MLflow could not be reached, or did not take it.
    """
    ledger, plan = reopen(directory)
    outcome = mlflow_sync.sync(ledger, plan, run_has_ended=not ledger.driven(), everything=everything)
    trials, uri = len(mlflow_sync.tracked(plan.trials)), without_password(tracking_uri(ledger))
    if outcome.error:
        raise UserError(f"MLflow at {uri}: {outcome.error}. {outcome.runs} of {trials} trials are there; give the command again later")
    return f"{outcome.runs} of {trials} trials are complete in MLflow at {uri}"
