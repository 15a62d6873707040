"""Where a study's MLflow is, and how its address is shown: it may hold a password, and a database's path anything."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from hadamard.orchestrator.ledger.ledger import Ledger

SQLITE, ESCAPED_SQLITE = "sqlite:///", "sqlite+pysqlite:///"
"""Two names of one thing; of paths that go by the first, MLflow makes the directories without regard to escapes."""
PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*@")


def tracking_uri(ledger: Ledger) -> str:
    """Return $MLFLOW_TRACKING_URI, else that of an sqlite file beside the study's directory, shared by all studies there."""
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(ledger.directory.absolute().parent / "mlflow.db")


def sqlite_uri(file: Path) -> str:
    """Return the address of a database by its path, in which `%` and `?` would mean something else."""
    path = str(file)
    escaped = path.replace("%", "%25").replace("?", "%3F")
    return f"{SQLITE if escaped == path else ESCAPED_SQLITE}{escaped}"


def sqlite_file(uri: str) -> Path | None:
    """Return the file of an sqlite database; None for any other address."""
    for scheme in (SQLITE, ESCAPED_SQLITE):
        if uri.startswith(scheme):
            return Path(unquote(uri.removeprefix(scheme)))
    return None


def without_password(text: str) -> str:
    """Return a text with the passwords of addresses in it hidden: what is printed stands in the logs of jobs."""
    return PASSWORD.sub(r"\1:***@", text)
