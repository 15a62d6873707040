"""A study: the settings all trials share, the factors that vary, the design over them, and the classical baselines.

Owns what is valid, and reports every problem at once with file:line. Does not own the design's rows, nor what the machine can do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, ValidationError

from model.settings import LogisticHead, MlpHead, Settings, SvcHead, TrialSettings
from orchestrator.design.factors import Factor, Value
from orchestrator.design.kinds import DesignSettings
from orchestrator.study_file import Location, Problem, StudyError, StudyFile
from orchestrator.study_problems import messages_of, plain_types, problems_of, suggestion


def _as_mapping(given: object) -> object:
    return {"kind": given} if isinstance(given, str) else given


def _levels_or_range(given: object) -> str:
    return "list" if isinstance(given, list) else "range"


BaselineHead = LogisticHead | SvcHead | MlpHead
Baseline = Annotated[BaselineHead, Field(discriminator="kind"), BeforeValidator(_as_mapping)]
"""A classical head, or just its kind."""


class Range(Settings):
    """Levels of a numeric factor as a range."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    levels: Annotated[int, Field(ge=2)] = 2
    """How many levels a factorial design takes from the range."""


Levels = Annotated[Annotated[list[Value], Tag("list")] | Annotated[Range, Tag("range")], Discriminator(_levels_or_range)]


class Study(TrialSettings):
    """The content of a study file."""

    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Name; also that of its directory and its MLflow experiment."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seeds run order, splits and initial parameters."""
    factors: dict[str, Levels]
    design: DesignSettings
    baselines: list[Baseline] = Field(default_factory=list)

    @property
    def settings(self) -> TrialSettings:
        """The settings that hold wherever a factor does not say otherwise."""
        return TrialSettings(**{name: getattr(self, name) for name in TrialSettings.model_fields})

    def factor_list(self) -> tuple[Factor, ...]:
        """Return the factors in the order of the file."""
        return tuple(_factor(path, given, self.settings) for path, given in self.factors.items())

    def baseline_heads(self) -> dict[str, BaselineHead]:
        """Return each baseline's head by its name: its kind, numbered where a kind occurs more than once."""
        heads: dict[str, BaselineHead] = {}
        for head in self.baselines:
            same = sum(other.kind == head.kind for other in heads.values())
            heads[f"{head.kind}{same + 1}" if same else head.kind] = head
        return heads


def study_of(file: StudyFile) -> Study:
    """Return the study that a file describes.

    Raises:
        StudyError: Something in it is not valid by itself; all such problems are in the error, each with file:line.
    """
    plain = file.plain()
    try:
        study = Study.model_validate_json(json.dumps(plain, default=str))  # strict JSON takes a list for a tuple, strict Python does not
    except ValidationError as error:
        raise StudyError(problems_of(error, Study, plain)).located(file) from error
    if problems := [Problem(message, location) for location, message in _check(study)]:
        raise StudyError(problems).located(file)
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


def _check(study: Study) -> Iterator[tuple[Location, str]]:
    """Yield what pydantic cannot see: factors that name no setting, and levels that do not fit it."""
    if not study.factors:
        yield ("factors",), "no factors: name at least one setting with two levels, for example `head.qubits: [6, 8]`"
    for path, given in study.factors.items():
        location: Location = ("factors", path)
        if (missing := _unknown_path(study.settings, path)) is not None:
            yield location, missing
        elif study.baselines and path.split(".")[0] in ("data", "sentence_encoder"):
            yield (
                location,
                "baselines run on the study's own sentences and embeddings; rows on others cannot be paired with them: set baselines: []",
            )
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


def _factor(path: str, given: list[Value] | Range, settings: TrialSettings) -> Factor:
    if isinstance(given, Range):
        integer = float not in _types(settings, path)
        return Factor(path, low=given.low, high=given.high, scale=given.scale, steps=given.levels, integer=integer)
    return Factor(path, levels=tuple(given))


def _invalid(settings: TrialSettings, path: str, value: Value) -> str | None:
    """Return why the setting cannot take the value, or None if it can."""
    try:
        with_values(settings, {path: value})
    except ValidationError as error:
        return messages_of(error, TrialSettings)
    return None


def _unknown_path(settings: BaseModel, path: str) -> str | None:
    """Return why a dotted path cannot be a factor, with a suggestion, or None if it can."""
    names = path.split(".")
    if names[-1] == "kind":
        return "a study has one kind of head; compare others as baselines"
    if names[0] in Study.model_fields and names[0] not in TrialSettings.model_fields:
        return f"{names[0]} belongs to the study as a whole and cannot be a factor"
    node: Any = settings
    for name in names:
        fields = type(node).model_fields if isinstance(node, BaseModel) else {}
        if name not in fields:
            return f"no such setting.{suggestion(name, fields)}"
        node = getattr(node, name)
    return f"is a group of settings; a factor is one of them: {', '.join(type(node).model_fields)}" if isinstance(node, BaseModel) else None


def _types(settings: TrialSettings, path: str) -> set[Any]:
    """Return the plain types a setting takes."""
    *parents, name = path.split(".")
    node: Any = settings
    for parent in parents:
        node = getattr(node, parent)
    return set(plain_types(type(node).model_fields[name].annotation))
