"""The architecture, held by imports, and the documents, held by their links."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import hadamard
from hadamard.model.lazy import load
from hadamard.model.simulators.registry import SIMULATORS
from tests.conftest import ROOT

LAYERS = (
    *(
        f"orchestrator/{folder}"
        for folder in ("cli", "commands", "report", "execution", "tracking", "results", "energy", "timing", "planning")
    ),
    *(f"orchestrator/{folder}" for folder in ("ledger", "study", "plotting", "formats", "analysis", "design")),
    "slurm",
    "cluster",
    *(f"model/{folder}" for folder in ("train", "training", "representation", "trial", "heads", "simulators", "circuits", "data", "mpi")),
    *(f"model/{folder}" for folder in ("files", "settings", "lazy", "logs", "errors")),
)
"""From the top down: a module imports from its own folder and from those below it."""
PACKAGES = ("orchestrator", "model", "cluster", "slurm")
MOST_ENTRIES = {"orchestrator": 20, "model": 15}
FOREIGN = {"model": {"ray", "mlflow"}, "cluster": {"mlflow"}, "slurm": {"ray", "mlflow"}}
"""Libraries that a package does without."""


def modules() -> dict[str, Path]:
    """Return the path of every module below the root, by its dotted name."""
    paths = (path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {f"hadamard.{'.'.join(path.with_suffix('').parts).removesuffix('.__init__')}": path for path in paths}


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_edges() -> Iterator[tuple[Path, Path]]:
    """Yield who imports whom among our modules."""
    known = modules()
    for path in known.values():
        for name in imports(path):
            target = known.get(name) or known.get(name.rpartition(".")[0])
            if target is not None and target != path:
                yield path, target


def layer(path: Path) -> int:
    module = path.with_suffix("").as_posix()
    return next(number for number, name in enumerate(LAYERS) if module == name or module.startswith(f"{name}/"))


def test_imports_go_down_only() -> None:
    package_inits = {"orchestrator/__init__.py", "model/__init__.py"}
    up = [(str(a), str(b)) for a, b in import_edges() if not {str(a), str(b)} & package_inits and layer(a) > layer(b)]
    assert not up


def test_no_module_imports_the_public_api_above_it() -> None:
    public = {"hadamard", *(f"hadamard.{name}" for name in hadamard.__all__)}
    assert not [str(path) for path in modules().values() if public & {*imports(path)}]


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[Path, set[Path]] = {}
    for importer, imported in import_edges():
        graph.setdefault(importer, set()).add(imported)
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError with the circle


@pytest.mark.parametrize("package", FOREIGN)
def test_packages_do_without_libraries_that_are_not_theirs(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert not {name.partition(".")[0] for name in imports(path)} & FOREIGN[package], path


@pytest.mark.parametrize("package", MOST_ENTRIES)
def test_a_package_is_seen_at_a_glance(package: str) -> None:
    entries = {path.relative_to(ROOT / package).parts[0] for path in (ROOT / package).rglob("*.*") if path.suffix != ".pyc"}
    assert len(entries) <= MOST_ENTRIES[package], entries


def test_what_the_registry_of_simulators_names_is_there() -> None:
    places = [place for kind in SIMULATORS.values() for place in (kind.factory, kind.parts) if place]
    assert all(callable(load(place)) for place in places)


def test_the_installed_package_is_this_checkout() -> None:
    assert Path(hadamard.__file__).parent == ROOT / "hadamard"


def test_no_module_outgrows_its_concept() -> None:
    for path in modules().values():
        assert len((ROOT / path).read_text().splitlines()) <= 400, path


def test_relative_links_in_documents_exist() -> None:
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"
