"""A study: the settings all trials share, the factors that vary, the design over them, and the classical baselines.

Owns what is valid, and reports every problem at once with file:line. Does not own the design's rows, nor what the machine can do.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError

from model.errors import SettingsError
from model.settings import Head, LogisticHead, MlpHead, QuantumHead, Settings, SvcHead, TrialSettings
from model.simulators import check_name
from orchestrator.design.factors import Factor, Value
from orchestrator.design.kinds import DesignSettings
from orchestrator.study_file import Location, Problem, StudyError, StudyFile

BASELINES: Mapping[str, LogisticHead | SvcHead | MlpHead] = {
    "logistic": LogisticHead(kind="logistic"),
    "svc": SvcHead(kind="svc"),
    "mlp": MlpHead(kind="mlp"),
}


class Range(Settings):
    """Levels of a numeric factor as a range."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    levels: Annotated[int, Field(ge=2)] = 2
    """How many levels a factorial design takes from the range."""


class Study(TrialSettings):
    """The content of a study file."""

    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Name; also that of its directory and its MLflow experiment."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seeds run order, splits and initial parameters."""
    factors: dict[str, list[float | int | str | bool] | Range]
    design: DesignSettings
    baselines: list[Literal["logistic", "svc", "mlp"] | LogisticHead | SvcHead | MlpHead] = Field(default_factory=list)

    @property
    def settings(self) -> TrialSettings:
        """The settings that hold wherever a factor does not say otherwise."""
        return TrialSettings(**{name: getattr(self, name) for name in TrialSettings.model_fields})

    def factor_list(self) -> tuple[Factor, ...]:
        """Return the factors in the order of the file."""
        return tuple(_factor(path, given, self.settings) for path, given in self.factors.items())

    def baseline_heads(self) -> dict[str, LogisticHead | SvcHead | MlpHead]:
        """Return each baseline's head by its name: its kind, numbered where a kind occurs more than once."""
        heads: dict[str, LogisticHead | SvcHead | MlpHead] = {}
        for given in self.baselines:
            head = BASELINES[given] if isinstance(given, str) else given
            name = head.kind if head.kind not in heads else f"{head.kind}{sum(other.kind == head.kind for other in heads.values()) + 1}"
            heads[name] = head
        return heads


def load(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Read and check a study file.

    Args:
        path: The YAML file.
        overrides: `a.b=value` strings, applied before anything is checked.

    Raises:
        StudyError: Anything is wrong; all problems are in it, each with file:line.
    """
    file = StudyFile.read(path, overrides)
    plain = file.plain()
    try:
        study = Study.model_validate_json(json.dumps(plain, default=str))  # strict JSON takes a list for a tuple, strict Python does not
    except ValidationError as error:
        raise StudyError([_problem(file, details) for details in error.errors()]) from error
    problems = [Problem(file.where(location), ".".join(map(str, location)), message) for location, message in _check(study)]
    if problems:
        raise StudyError(problems)
    return study


def with_values(settings: TrialSettings, values: Mapping[str, Value]) -> TrialSettings:
    """Return the settings with the values at the given dotted paths put in; invalid ones raise pydantic's ValidationError."""
    content = settings.model_dump()
    for path, value in values.items():
        *parents, name = path.split(".")
        node = content
        for parent in parents:
            node = node[parent]
        node[name] = value
    return TrialSettings.model_validate(content)


def check_head(head: Head) -> None:
    """Raise a SettingsError if a head's settings cannot go together."""
    if not isinstance(head, QuantumHead):
        return
    if head.connectivity >= head.qubits:
        raise SettingsError(
            f"head.connectivity = {head.connectivity} needs more than {head.connectivity} qubits; head.qubits = {head.qubits}"
        )
    width = head.qubits * (head.encoders if head.merge == "concatenate" else 1)
    if head.measured > width:
        raise SettingsError(f"head.measured = {head.measured} but the second module has {width} qubits")
    if head.merge == "blocks" and head.reuploads < head.encoders:
        raise SettingsError(
            f"head.merge = blocks feeds encoder e to block e, but {head.encoders} encoders meet {head.reuploads} re-uploads"
        )


def _check(study: Study) -> Iterator[tuple[Location, str]]:
    """Yield what pydantic cannot see: factors that name no setting, levels that do not fit it, unknown simulators."""
    try:
        check_name(study.simulator)
    except SettingsError as error:
        yield ("simulator",), str(error)
    if not study.factors:
        yield ("factors",), "no factors: name at least one setting with two levels, for example `head.qubits: [6, 8]`"
    for path, given in study.factors.items():
        location: Location = ("factors", path)
        if (missing := _unknown_path(study.settings, path)) is not None:
            yield location, missing
        elif isinstance(given, Range):
            yield from ((location, message) for message in _check_range(study.settings, path, given))
        elif len(given) < 2:
            yield location, f"a factor needs at least two levels, this has {len(given)}. To keep it fixed, set {path} itself"
        elif len({repr(level) for level in given}) < len(given):
            yield location, "a level is given twice"
        else:
            for index, level in enumerate(given):
                if message := _invalid(study.settings, path, level):
                    yield (*location, index), f"level {level!r}: {message}"


def _check_range(settings: TrialSettings, path: str, given: Range) -> Iterator[str]:
    if given.low >= given.high:
        yield f"low ({given.low:g}) must be below high ({given.high:g})"
    elif given.scale == "log" and given.low <= 0:
        yield f"a log scale needs low above 0, not {given.low:g}"
    elif int not in _types(settings, path) and float not in _types(settings, path):
        yield "a range needs a numeric setting; list the levels instead"
    else:
        factor = _factor(path, given, settings)
        for level in (factor.at(-1), factor.at(1)):
            if message := _invalid(settings, path, level):
                yield f"{level:g}: {message}"


def _factor(path: str, given: list[float | int | str | bool] | Range, settings: TrialSettings) -> Factor:
    if isinstance(given, Range):
        integer = float not in _types(settings, path)
        return Factor(path, low=given.low, high=given.high, scale=given.scale, steps=given.levels, integer=integer)
    return Factor(path, levels=tuple(given))


def _invalid(settings: TrialSettings, path: str, value: Value) -> str | None:
    """Return why the setting cannot take the value, or None if it can."""
    try:
        with_values(settings, {path: value})
        if path == "simulator":
            check_name(str(value))
    except ValidationError as error:
        return "; ".join(_message(details) for details in error.errors())
    except SettingsError as error:
        return str(error)
    return None


def _unknown_path(settings: BaseModel, path: str) -> str | None:
    """Return why a dotted path names no setting, with a suggestion, or None if it does name one."""
    node: Any = settings
    for depth, name in enumerate(path.split(".")):
        fields = type(node).model_fields if isinstance(node, BaseModel) else {}
        if name not in fields:
            under = ".".join(path.split(".")[:depth])
            return f"no such setting.{_suggest(name, list(fields), under)}"
        node = getattr(node, name)
    return f"is a group of settings, not one: {', '.join(type(node).model_fields)}" if isinstance(node, BaseModel) else None


def _types(settings: TrialSettings, path: str) -> set[Any]:
    """Return the plain types a setting takes."""
    *parents, name = path.split(".")
    node: Any = settings
    for parent in parents:
        node = getattr(node, parent)
    return set(_plain_types(type(node).model_fields[name].annotation))


def _plain_types(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, UnionType, Annotated, Literal):
        for part in get_args(annotation):
            yield from _plain_types(part)
    else:
        yield annotation


def _problem(file: StudyFile, details: Any) -> Problem:
    """Turn one of pydantic's errors into a located problem."""
    location: Location = tuple(details["loc"])
    shown = ".".join(str(part) for part in _in_file(file.plain(), location, details["type"]))
    message = _message(details)
    if details["type"] == "extra_forbidden":
        message = f"unknown key.{_suggest(str(location[-1]), _fields_at(Study, location[:-1]), '')}"
    return Problem(file.where(location), shown, message)


def _message(details: Any) -> str:
    if details["type"] == "missing":
        return "is missing"
    given = details["input"]
    shown = f" (given: {given!r})" if isinstance(given, (str, int, float, bool)) else ""
    return f"{details['msg'][0].lower()}{details['msg'][1:]}{shown}"


def _in_file(node: Any, location: Location, kind: str) -> Iterator[str | int]:
    """Yield the parts of a pydantic location which the file really has, and a missing key's name."""
    for depth, key in enumerate(location):
        if isinstance(node, (dict, list)) and (key in node if isinstance(node, dict) else isinstance(key, int) and key < len(node)):
            node = node[key]  # type: ignore[index]
            yield key
        elif kind == "missing" and depth == len(location) - 1:
            yield key


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    """Return the valid keys at a location, which may hold the tags of unions."""
    candidates: list[Any] = [model]
    for key in location:
        models = [candidate for candidate in candidates if isinstance(candidate, type) and issubclass(candidate, BaseModel)]
        tagged = [one for one in models if "kind" in one.model_fields and key in get_args(one.model_fields["kind"].annotation)]
        inner = [part for one in models if key in one.model_fields for part in _plain_types(one.model_fields[str(key)].annotation)]
        candidates = tagged or inner or models
    return [name for one in candidates if isinstance(one, type) and issubclass(one, BaseModel) for name in one.model_fields]


def _suggest(name: str, known: list[str], under: str) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    listed = f" Known{' under ' + under if under else ''}: {', '.join(known)}" if known else ""
    return hint + listed
