"""The architecture, held by imports, and the documents, held by their links."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import hadamard
from tests.conftest import ROOT

PACKAGES = ("orchestrator", "model", "cluster", "slurm")
FORBIDDEN = {
    "model": {"orchestrator", "cluster", "slurm", "ray", "mlflow"},
    "cluster": {"orchestrator", "slurm", "mlflow"},
    "slurm": {"orchestrator", "ray", "mlflow"},
}


def imported(path: Path) -> set[str]:
    """Return the packages that a module imports, those of ours without their common prefix."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("hadamard.").split(".")[0] for name in names}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_import_only_what_the_design_allows(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert not imported(path) & FORBIDDEN[package], path


def test_the_installed_package_is_this_checkout() -> None:
    assert Path(hadamard.__file__).parent == ROOT / "hadamard"


def test_no_module_outgrows_its_concept() -> None:
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        assert len(path.read_text().splitlines()) <= 400, path


def test_relative_links_in_documents_exist() -> None:
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"
