"""The validation of a study file: pydantic's errors, then the factors, levels, rows and candidates that pydantic cannot check.

Every problem of a stage is reported at once, with file:line. What the machine can run is checked in `planning/feasibility.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from hadamard.model.trial import TrialSettings
from hadamard.orchestrator.design.factors import Value
from hadamard.orchestrator.study.file import Location, Problem, StudyError, StudyFile
from hadamard.orchestrator.study.problems import messages_of, problems_of, suggestion
from hadamard.orchestrator.study.schema import REPRESENTATION, Candidates, Range, Study, factor_of, types_of, with_values

NEVER_TUNED = ("sentence_encoder.name", REPRESENTATION, "simulator", "precision")


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
    if problems := [Problem(message, location) for location, message in _problems(study)]:
        raise StudyError(problems).located(file)
    return study


def _problems(study: Study) -> Iterator[tuple[Location, str]]:
    yield from _check_factors(study)
    yield from _check_written_rows(study)
    yield from _check_baseline_names(study)
    yield from _check_candidates(study)


def _check_factors(study: Study) -> Iterator[tuple[Location, str]]:
    """Yield factors that name no setting, and levels that do not fit it."""
    if not study.factors:
        yield ("factors",), "no factors: name at least one setting with two levels, for example `head.qubits: [6, 8]`"
    for path, levels in study.factors.items():
        location: Location = ("factors", path)
        if (reason := _unknown_path(study.settings, path)) is not None:
            yield location, reason
        elif study.baselines and path.split(".")[0] in ("data", "sentence_encoder") and path != REPRESENTATION:
            yield (
                location,
                "baselines run on the study's own sentences and embeddings; rows on others cannot be paired with them: set baselines: []",
            )
        elif isinstance(levels, Range):
            yield from ((location, message) for message in _check_range(study.settings, path, levels))
        elif len(levels) < 2:
            yield location, f"a factor needs at least two levels, this has {len(levels)}. To keep it fixed, set {path} itself"
        elif len({repr(level) for level in levels}) < len(levels):
            yield location, "a level is given twice"
        else:
            for index, level in enumerate(levels):
                if message := _invalid(study.settings, path, level):
                    yield (*location, index), f"level {level!r}: {message}"


def _check_range(settings: TrialSettings, path: str, levels: Range) -> Iterator[str]:
    types = types_of(settings, path)
    if levels.low >= levels.high:
        yield f"low ({levels.low:g}) must be below high ({levels.high:g})"
    elif levels.scale == "log" and levels.low <= 0:
        yield f"a log scale needs low above 0, not {levels.low:g}"
    elif int not in types and float not in types:
        yield "a range needs a numeric setting; list the levels instead"
    else:
        factor = factor_of(path, levels, settings)
        for level in (factor.at(-1), factor.at(1)):
            if message := _invalid(settings, path, level):
                yield f"{level:g}: {message}"


def _check_written_rows(study: Study) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong with the settings that rows of the study file have besides their factors."""
    rows = study.design.written_rows()
    for index, row in enumerate(rows):
        others = {path: value for path, value in row.items() if path not in study.factors}
        for path, value in others.items():
            location: Location = ("design", "rows", index, path)
            if (reason := _unknown_path(study.settings, path)) is not None:
                yield location, reason
            elif message := _invalid(study.settings, path, value):
                yield location, f"{value!r}: {message}"
        if others.keys() != rows[0].keys() - study.factors.keys():
            yield ("design", "rows", index), "sets other settings besides its factors than row 0: name the same ones in every row"


def _check_baseline_names(study: Study) -> Iterator[tuple[Location, str]]:
    named = study.named_baselines()
    if len(named) < len(study.baselines):
        yield ("baselines",), "two baselines have the same name: give them a `name` each"
    for name in named:
        if re.fullmatch(r"r\d+", name):
            yield ("baselines",), f"{name} is what a row of the design is called; give the baseline another name"


def _check_candidates(study: Study) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong with the settings to be tuned, of the rows and of each baseline, and with the selection among them."""
    tuned: list[tuple[Location, TrialSettings, Candidates]] = [(("tune",), study.settings, study.tune)]
    for index, baseline in enumerate(study.baselines):
        tuned.append((("baselines", index, "tune"), study.settings.model_copy(update={"head": baseline.head}), baseline.tune))
    for location, settings, candidates in tuned:
        for path, values in candidates.items():
            yield from _check_candidate(study, (*location, path), settings, path, values)
    if study.selection and not any(len(values) > 1 for _, _, candidates in tuned for values in candidates.values()):
        yield ("selection",), "there is nothing to choose from: give `tune` two values, of the study or of a baseline"
    if study.selection and study.selection.folds > study.data.train_per_class:
        most = study.data.train_per_class
        yield ("selection", "folds"), f"{most} drawn sentences of each class cannot be divided into more than {most} folds"


def _check_candidate(
    study: Study, location: Location, settings: TrialSettings, path: str, values: list[Value]
) -> Iterator[tuple[Location, str]]:
    if path in study.factors:
        yield location, "is a factor; a setting is either compared or tuned"
    elif path.startswith(("data.", "mpi.")) or path in NEVER_TUNED:
        yield location, "cannot be tuned: candidates have to see the same sentences, and differ in what decides a result"
    elif any(value in values[:index] for index, value in enumerate(values)):
        yield location, "a value is given twice"
    elif (reason := _unknown_path(settings, path)) is not None:
        yield location, reason
    else:
        for index, value in enumerate(values):
            if message := _invalid(settings, path, value):
                yield (*location, index), message


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
