"""The settings of a study file are those of a list: a new one, or one that goes, is a decision, and changes the list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from hadamard.orchestrator.study.problems import plain_types
from hadamard.orchestrator.study.schema import Study

LIST = Path(__file__).with_name("settings.txt")


def paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every setting; `[]` stands for the entries of a list, `<kind>` for those of one kind only."""
    for name, field in model.model_fields.items():
        yield prefix + name
        for inner, path in models(field.annotation, prefix + name):
            yield from paths(inner, f"{path}.")


def models(annotation: Any, path: str) -> Iterator[tuple[type[BaseModel], str]]:
    """Yield the models of an annotation with the path of their content."""
    for part in plain_types(annotation):
        if get_origin(part) in (list, dict):
            yield from models(get_args(part)[-1], f"{path}[]")
        elif isinstance(part, type) and issubclass(part, BaseModel):
            kinds = get_args(part.model_fields["kind"].annotation) if "kind" in part.model_fields else ()
            yield part, f"{path}<{kinds[0]}>" if kinds else path


def test_the_settings_of_a_study_are_those_of_the_list() -> None:
    found, listed = sorted(set(paths(Study))), LIST.read_text().splitlines()
    added, removed = sorted(set(found) - set(listed)), sorted(set(listed) - set(found))
    assert (added, removed) == ([], []), f"a decision: document what changes in docs/study-file.md, and write it to {LIST}"
    assert listed == found, "sorted"
