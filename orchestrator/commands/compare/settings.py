"""The settings in which two studies differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hadamard.orchestrator.commands.render import Result
from hadamard.orchestrator.design.factors import levels_text, value_text
from hadamard.orchestrator.study.schema import Study


class SettingPair(Result):
    """A setting by its dotted path, with its value in each study; None where a study has no such setting."""

    path: str
    first: str | None
    second: str | None


def differing_settings(first: Study, second: Study) -> tuple[SettingPair, ...]:
    """Return the settings in which two studies differ, in the order of a study file."""
    of_first, of_second = dict(_settings(first)), dict(_settings(second))
    pairs = (SettingPair(path=path, first=of_first.get(path), second=of_second.get(path)) for path in {**of_first, **of_second})
    return tuple(pair for pair in pairs if pair.first != pair.second)


def _settings(study: Study) -> Iterator[tuple[str, str]]:
    """Yield path and value of each setting; of a factor its levels, in the place of the setting it overrides."""
    levels = {factor.path: f"factor: {levels_text(factor)}" for factor in study.factor_list()}
    content = study.model_dump(mode="json", exclude={"factors", "baselines", "study"})
    yield from ((path, levels.get(path, text)) for path, text in _flat(content))
    for name, baseline in study.named_baselines().items():
        content = {**baseline.head.model_dump(mode="json"), **({"tune": baseline.tune} if baseline.tune else {})}
        yield f"baselines.{name}", ", ".join(f"{key} {text}" for key, text in _flat(content))


def _flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        elif isinstance(value, list):
            yield f"{above}{key}", "; ".join(map(str, value)) if len(str(value)) < 60 else f"{len(value)} of them"
        else:
            yield f"{above}{key}", "none" if value is None else value_text(value)
