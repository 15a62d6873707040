"""The saved view of a study on MLflow's page of runs: a line per trial with its accuracy, costs and factors."""

from __future__ import annotations

import json
from collections.abc import Sequence

NAME = "Accuracy, joules, seconds"
KEY = "hadamard"
TAG = f"mlflow.sharedViewState.{KEY}"
"""The experiment's tag that holds the view. MLflow's interface (3.17) writes such a tag when a user saves a view there."""
METRICS = ("test_accuracy", "energy_j", "train_s", "parameters")


def saved_view(factors: Sequence[str], created_ms: int) -> str:
    """Return the view as the value of its tag.

    It leaves out the study's own run, and is sorted by name, so that the runs of a row stand together.

    Args:
        factors: Paths of the settings that the design varies.
        created_ms: Unix time.
    """
    columns = [*(f"metrics.`{name}`" for name in METRICS), *(f"params.`{name}`" for name in (*factors, "split"))]
    state = {
        "searchFilter": "tags.`hadamard.role` = 'trial'",
        "orderByKey": "tags.`mlflow.runName`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
    }
    return json.dumps({"name": NAME, "createdAt": created_ms, "updatedAt": created_ms, "state": json.dumps(state)})


def address(experiment: str) -> str:
    """Return where the view is on an MLflow server."""
    return f"/#/experiments/{experiment}/runs?viewStateShareKey={KEY}"
