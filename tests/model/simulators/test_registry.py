"""No module but the registry names a simulator."""

from __future__ import annotations

import ast
from pathlib import Path

from hadamard.model.simulators.registry import PREFERRED, REFERENCE, SIMULATORS
from tests.conftest import ROOT

REGISTRY = ROOT / "model" / "simulators" / "registry.py"
LIBRARIES = {"torch", "triton"}
"""Names that simulators share with a library: only as the argument of what opens a simulator do they name one."""


def named(path: Path) -> set[str]:
    """Return the simulators that a module names by a string of its own."""
    tree = ast.parse(path.read_text())
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    opened = {
        argument.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("open_simulator", "kind_of")
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    return (strings & SIMULATORS.keys() - LIBRARIES) | opened


def test_no_other_module_names_a_simulator() -> None:
    modules = [path for package in ("orchestrator", "model", "cluster", "slurm") for path in (ROOT / package).rglob("*.py")]
    assert {str(path.relative_to(ROOT)): found for path in modules if path != REGISTRY and (found := named(path))} == {}


def test_auto_and_the_reference_are_entries() -> None:
    assert {*PREFERRED, REFERENCE} <= SIMULATORS.keys()
