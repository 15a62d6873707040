"""In which settings two studies differ.

Owns their paths and values in words. Does not own what any of them means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hadamard.orchestrator.design.factors import levels_text, value_text
from hadamard.orchestrator.study.schema import Study


def differing(first: Study, second: Study) -> dict[str, tuple[str | None, str | None]]:
    """Return the settings in which two studies differ, by dotted path, in the order of a study file."""
    one, two = dict(_settings(first)), dict(_settings(second))
    paths = dict.fromkeys([*one, *two])
    return {path: (one.get(path), two.get(path)) for path in paths if one.get(path) != two.get(path)}


def _settings(study: Study) -> Iterator[tuple[str, str]]:
    """Yield path and value of each setting; of a factor its levels, in the place of the setting it overrides."""
    levels = {factor.path: f"factor: {levels_text(factor)}" for factor in study.factor_list()}
    content = study.model_dump(mode="json", exclude={"factors", "baselines", "study"})
    yield from ((path, levels.get(path, text)) for path, text in _flat(content))
    for name, one in study.named_baselines().items():
        content = {**one.head.model_dump(mode="json"), **({"tune": one.tune} if one.tune else {})}
        yield f"baselines.{name}", ", ".join(f"{key} {text}" for key, text in _flat(content))


def _flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        elif isinstance(value, list):
            yield f"{above}{key}", "; ".join(map(str, value)) if len(str(value)) < 60 else f"{len(value)} of them"
        else:
            yield f"{above}{key}", "none" if value is None else value_text(value)
