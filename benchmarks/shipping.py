"""Times shipping a finished study into a fresh SQLite database: 2,000 trials of 50 metric rows and more, for docs/performance.md.

Owns the figure; every row must have arrived before any time is printed. Run it with `python -m benchmarks.shipping [TRIALS]`.
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
from hadamard.orchestrator.tracking import shipper
from tests.support.shipped_study import ROWS, finished_study


@dataclass(frozen=True)
class Cost:
    """What it took to ship a study: Python's own start and the creation of the database are in it."""

    wall_s: float
    cpu_s: float


def timed_shipping(ledger: Ledger, plan: Plan) -> Cost:
    """Ship and check that MLflow's own tables hold each run and row once."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    shipment = shipper.ship(ledger, plan, run_has_ended=True)
    cost = Cost(time.perf_counter() - began_s, time.process_time() - cpu_s)
    trials = len(plan.trials)
    assert shipment == shipper.Shipment(trials, None), shipment
    with sqlite3.connect(shipper.tracking_uri(ledger).removeprefix("sqlite:///")) as database:
        assert database.execute("select count(*) from runs").fetchone()[0] == trials + 1
        assert database.execute("select count(*) from metrics").fetchone()[0] == trials * ROWS
    return cost


def main() -> None:
    """Print what shipping takes, and what it takes to find that nothing is left to ship."""
    warnings.simplefilter("ignore")
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as directory:
        ledger, plan = finished_study(Path(directory), trials)
        for what in ("first", "again"):
            cost = timed_shipping(ledger, plan)
            print(f"{what}: {trials} trials of {ROWS} rows, {cost.wall_s:.0f} s, of it {cost.cpu_s:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
