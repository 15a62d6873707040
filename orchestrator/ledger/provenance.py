"""Provenance of a study's results: command, commit, versions, data and machine."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hadamard.cluster.allocation import detect
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.study.trials import RESULTS_VERSION

PACKAGES = ("hadamard", "torch", "sentence-transformers", "scikit-learn", "pennylane", "ray", "mlflow", "numpy")


def provenance(plan: Plan, study_id: str, earlier_commits: str) -> dict[str, Any]:
    """Return the study's id and, under `shown`, what the report's last table holds.

    Args:
        plan: What is run.
        study_id: Given at the first run.
        earlier_commits: The code of earlier runs of this study, as this function returned it.
    """
    commits = [earlier for earlier in earlier_commits.split(", ") if earlier]
    data = sorted({trial.data_hash[:16] for trial in plan.trials})
    encoders = sorted({f"{trial.settings.sentence_encoder.name} ({trial.sentence_encoder_hash})" for trial in plan.trials})
    shown = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": ", ".join(dict.fromkeys([*commits, commit()])),
        "versions": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "machine": detect().description,
        "data hash": ", ".join(data),
        "sentence encoder hash": ", ".join(encoders),
        "results version": str(RESULTS_VERSION),
        "seed": str(plan.study.seed),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {"study_id": study_id, "shown": shown}


def commit() -> str:
    """Return the commit of the code that runs, with `+` if files differ from it; `not from a git checkout` if it is installed."""
    file = Path(__file__).resolve()  # git follows no links, and the folders of the package are links in a checkout
    here = file.parent
    try:  # or the commit is another's
        subprocess.run(["git", "ls-files", "--error-unmatch", file], cwd=here, capture_output=True, check=True)
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"], cwd=here, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "not from a git checkout"
    return head + ("+" if changed.strip() else "")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
