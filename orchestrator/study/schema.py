"""A study: the settings all trials share, the factors that vary, the design over them, and the classical baselines.

Owns what is valid, and reports every problem at once with file:line. Does not own the design's rows, nor what the machine can do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, ValidationError

from hadamard.model.heads.base import HeadSettings
from hadamard.model.heads.registry import HEADS, union_of
from hadamard.model.settings import Fold, Settings
from hadamard.model.trial import TrialSettings
from hadamard.orchestrator.design.factors import Factor, Value
from hadamard.orchestrator.design.registry import AnyDesign
from hadamard.orchestrator.study.budget import Budget
from hadamard.orchestrator.study.file import Location, Problem, StudyError, StudyFile
from hadamard.orchestrator.study.problems import messages_of, plain_types, problems_of, suggestion


def _as_baseline(given: object) -> object:
    """Turn a head's kind, or a head with `name` and `tune` beside its settings, into what a Baseline holds."""
    if isinstance(given, str):
        return {"head": {"kind": given}}
    if not isinstance(given, Mapping) or "head" in given:
        return given
    own = {name: given[name] for name in ("name", "tune") if name in given}
    return {"head": {name: value for name, value in given.items() if name not in own}, **own}


REPRESENTATION = "sentence_encoder.representation"
"""The factor whose levels baselines have, too: rows on one representation are compared with baselines on the same."""


NEVER_TUNED = ("sentence_encoder.name", REPRESENTATION, "simulator", "precision")


def _levels_or_range(given: object) -> str:
    return "list" if isinstance(given, list) else "range"


if TYPE_CHECKING:
    BaselineHead: TypeAlias = HeadSettings
else:
    BaselineHead = union_of(tuple(head for head in HEADS if not head.simulated))
Candidates = dict[str, Annotated[list[Value], Field(min_length=1)]]
"""Values of settings by dotted path; every combination is a candidate."""


class Baseline(Settings):
    """A classical head on the splits and embeddings of the rows; in a file, its settings beside `name` and `tune`, or just its kind."""

    head: BaselineHead
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")] | None = None
    """In tables and pictures; left out, its kind."""
    tune: Candidates = Field(default_factory=dict)
    """As for the study, for this head alone."""


class Selection(Settings):
    """Repeated k-fold cross-validation inside the sentences that a split draws, by which every arm's candidates are chosen from."""

    folds: Annotated[int, Field(ge=2)] = 4
    repeats: Annotated[int, Field(ge=1)] = 1

    def all_folds(self) -> tuple[Fold, ...]:
        """Return every part that is held out once."""
        return tuple(Fold(repeat=repeat, index=index, of=self.folds) for repeat in range(self.repeats) for index in range(self.folds))


class Range(Settings):
    """Levels of a numeric factor as a range."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    levels: Annotated[int, Field(ge=2)] = 2
    """How many levels a factorial design takes from the range."""


Levels = Annotated[Annotated[list[Value], Tag("list")] | Annotated[Range, Tag("range")], Discriminator(_levels_or_range)]


class Power(Settings):
    """The smallest effect that matters, which the study is to find if it is there."""

    effect: Annotated[float, Field(gt=0, lt=1)]
    """Of a factor from low to high, as a fraction: 0.01 is a point of accuracy."""
    sd: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of one trial's accuracy within its split."""
    power: Annotated[float, Field(gt=0.05, lt=1)] = 0.8
    """Wanted probability of finding it at the 5 % level."""


class Study(TrialSettings):
    """The content of a study file."""

    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Name; also that of its directory and its MLflow experiment."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seeds run order, splits and initial parameters."""
    factors: dict[str, Levels]
    design: AnyDesign
    tune: Candidates = Field(default_factory=dict)
    """Settings to be chosen for each row and split: by cross-validation if there is a `selection`, else by the validation side."""
    selection: Selection | None = None
    baselines: list[Annotated[Baseline, BeforeValidator(_as_baseline)]] = Field(default_factory=list)
    power: Power | None = None
    """What the study is to find; too few splits for it are refused."""
    budget: Budget = Field(default_factory=Budget)
    """What all runs of the study together may use."""
    grid_g_per_kwh: Annotated[float, Field(gt=0)] | None = None
    """Grams of CO2 that the grid emits for a kilowatt-hour, where the report is to state them."""

    @property
    def settings(self) -> TrialSettings:
        """The settings that hold wherever a factor does not say otherwise."""
        return TrialSettings(**{name: getattr(self, name) for name in TrialSettings.model_fields})

    def factor_list(self) -> tuple[Factor, ...]:
        """Return the factors in the order of the file."""
        return tuple(_factor(path, given, self.settings) for path, given in self.factors.items())

    def baseline_heads(self) -> dict[str, BaselineHead]:
        """Return each baseline's head by its name: its kind, numbered where a kind occurs more than once."""
        return {name: one.head for name, one in self.named_baselines().items()}

    def named_baselines(self) -> dict[str, Baseline]:
        """Return each baseline by its name: that given, or its kind, numbered where a kind occurs more than once."""
        named: dict[str, Baseline] = {}
        for one in self.baselines:
            same = sum(other.head.kind == one.head.kind for other in named.values() if other.name is None)
            named[one.name or (f"{one.head.kind}{same + 1}" if same else one.head.kind)] = one
        return named


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
        elif study.baselines and path.split(".")[0] in ("data", "sentence_encoder") and path != REPRESENTATION:
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
    yield from _check_written_rows(study)
    yield from _check_candidates(study)


def _check_written_rows(study: Study) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong with the settings that rows of the study file have besides their factors."""
    rows = study.design.written_rows()
    for index, row in enumerate(rows):
        others = {path: value for path, value in row.items() if path not in study.factors}
        for path, value in others.items():
            place: Location = ("design", "rows", index, path)
            if (missing := _unknown_path(study.settings, path)) is not None:
                yield place, missing
            elif message := _invalid(study.settings, path, value):
                yield place, f"{value!r}: {message}"
        if others.keys() != rows[0].keys() - study.factors.keys():
            yield ("design", "rows", index), "sets other settings besides its factors than row 0: name the same ones in every row"


def _check_candidates(study: Study) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong with the settings to be tuned, of the rows and of each baseline."""
    if len(study.named_baselines()) < len(study.baselines):
        yield ("baselines",), "two baselines have the same name: give them a `name` each"
    for name in study.named_baselines():
        if re.fullmatch(r"r\d+", name):
            yield ("baselines",), f"{name} is what a row of the design is called; give the baseline another name"
    tuned: list[tuple[Location, TrialSettings, Candidates]] = [(("tune",), study.settings, study.tune)]
    for index, one in enumerate(study.baselines):
        tuned.append((("baselines", index, "tune"), study.settings.model_copy(update={"head": one.head}), one.tune))
    for place, settings, candidates in tuned:
        for path, values in candidates.items():
            if path in study.factors:
                yield (*place, path), "is a factor; a setting is either compared or tuned"
            elif path.startswith(("data.", "mpi.")) or path in NEVER_TUNED:
                yield (*place, path), "cannot be tuned: candidates have to see the same sentences, and differ in what decides a result"
            elif any(value in values[:at] for at, value in enumerate(values)):
                yield (*place, path), "a value is given twice"
            elif (missing := _unknown_path(settings, path)) is not None:
                yield (*place, path), missing
            else:
                yield from (((*place, path, at), why) for at, value in enumerate(values) if (why := _invalid(settings, path, value)))
    if study.selection and not any(len(values) > 1 for _, _, candidates in tuned for values in candidates.values()):
        yield ("selection",), "there is nothing to choose from: give `tune` two values, of the study or of a baseline"
    if study.selection and study.selection.folds > study.data.train_per_class:
        most = study.data.train_per_class
        yield ("selection", "folds"), f"{most} drawn sentences of each class cannot be divided into more than {most} folds"


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
