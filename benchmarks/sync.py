"""Times the sync of a finished study to a fresh SQLite database: 2,000 trials of 50 metric rows and more, for docs/performance.md.

Every row must have arrived before a time is printed. Run it with `python -m benchmarks.sync [TRIALS]`.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.tracking import mlflow_sync
from hadamard.orchestrator.tracking.address import sqlite_file, tracking_uri
from tests.support.finished_study import ROWS, finished_study


@dataclass(frozen=True)
class Cost:
    """The cost of a sync, the creation of the database included."""

    wall_s: float
    cpu_s: float


def timed_sync(ledger: Ledger, plan: Plan) -> Cost:
    """Sync, and check that MLflow's own tables hold each run and row once."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    outcome = mlflow_sync.sync(ledger, plan, run_has_ended=True)
    cost = Cost(time.perf_counter() - began_s, time.process_time() - cpu_s)
    trials = len(plan.trials)
    assert outcome == mlflow_sync.SyncResult(trials, None), outcome
    file = sqlite_file(tracking_uri(ledger))
    assert file is not None
    with sqlite3.connect(file) as database:
        assert database.execute("select count(*) from runs").fetchone()[0] == trials + 1
        assert database.execute("select count(*) from metrics").fetchone()[0] == trials * ROWS
    return cost


def main() -> None:
    """Print the cost of a first sync, and of one that has nothing left to send."""
    warnings.simplefilter("ignore")
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as directory:
        ledger, plan = finished_study(Path(directory), trials)
        for what in ("first", "again"):
            cost = timed_sync(ledger, plan)
            print(f"{what}: {trials} trials of {ROWS} rows, {cost.wall_s:.0f} s, of it {cost.cpu_s:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
