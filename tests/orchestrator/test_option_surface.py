"""The options of the command line are those of a list: a new one, or one that goes, is a decision, and changes the list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from hadamard.orchestrator.cli import app

LIST = Path(__file__).with_name("options.txt")


def surface(command: Any, name: str) -> Iterator[str]:
    """Yield a command's arguments and options, and those of its verbs."""
    for parameter in command.params:
        is_argument = parameter.param_type_name == "argument"
        yield f"{name} {parameter.name if is_argument else ' '.join(parameter.opts + parameter.secondary_opts)}"
    for verb, inner in getattr(command, "commands", {}).items():
        yield from surface(inner, f"{name} {verb}")


def test_the_options_are_those_of_the_list() -> None:
    found, listed = sorted(surface(typer.main.get_command(app), "hadamard")), LIST.read_text().splitlines()
    added, removed = sorted(set(found) - set(listed)), sorted(set(listed) - set(found))
    assert (added, removed) == ([], []), f"a decision: document what changes in docs/ and CHANGELOG.md, and write it to {LIST}"
    assert listed == found, "sorted"
