"""A copy of the package to which a test adds a file and a line, as somebody does who extends it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import ROOT

PACKAGES = ("orchestrator", "model", "cluster", "slurm", "configs")


class Extended:
    """The copy: real folders where a checkout has links.

    Attributes:
        root: What has to be on the path of Python.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "hadamard"
        self.package.mkdir(parents=True)
        for file in (ROOT / "hadamard").glob("*.py"):
            shutil.copy(file, self.package)
        for name in PACKAGES:
            shutil.copytree(ROOT / name, self.package / name, ignore=shutil.ignore_patterns("__pycache__"))
        native = importlib.util.find_spec("hadamard.model.simulators.compiled.native")
        if native and native.origin:
            shutil.copy(native.origin, self.package / "model" / "simulators" / "compiled")

    def add_file(self, path: str, content: str) -> None:
        """Write a new file; `path` is relative to the package."""
        assert not (self.package / path).exists()
        (self.package / path).parent.mkdir(exist_ok=True)
        (self.package / path).write_text(content)

    def add_line(self, path: str, after: str, line: str) -> None:
        """Insert one line into a file, after the first line that contains the given text."""
        lines = (self.package / path).read_text().splitlines()
        place = next(number for number, existing in enumerate(lines) if after in existing)
        (self.package / path).write_text("\n".join([*lines[: place + 1], line, *lines[place + 1 :]]) + "\n")

    def python(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run Python with this copy in place of the checkout; its own child processes would see the checkout again."""
        installed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        paths = os.pathsep.join([str(self.root), *installed])
        return subprocess.run(  # -S: what makes a checkout importable is then not read
            [sys.executable, "-S", "-W", "ignore", *words],
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {}), "PYTHONPATH": paths},
            cwd=self.root,
        )
