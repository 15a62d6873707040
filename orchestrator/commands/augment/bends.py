"""Follow-up designs for curvature: centre points show whether the response bends, axial points by which factor."""

from __future__ import annotations

import math

import numpy as np

from hadamard.orchestrator.analysis.curvature import curvature
from hadamard.orchestrator.commands.augment.known import Known, Proposal
from hadamard.orchestrator.design.base import DesignError, DesignSettings, ExtendableDesign
from hadamard.orchestrator.design.columns import main_effect_columns
from hadamard.orchestrator.design.design import Design, build
from hadamard.orchestrator.design.factors import value_text
from hadamard.orchestrator.formats import between, count, listed, signed
from hadamard.orchestrator.study.schema import Range, Study

LOG_FROM_RATIO = 10
"""Two listed levels whose ratio is at least this become a range on a log scale."""


def bends(known: Known) -> Proposal | str | None:
    """Propose centre points where nothing shows whether the response bends, and axial points where it does and nothing shows by which."""
    settings = known.study.design
    if not isinstance(settings, ExtendableDesign) or settings.axial_points or _sees_squares(known.design):
        return None
    study, ranges = _with_ranges(known.study)
    words = f" {listed(list(ranges))} {'becomes a range' if len(ranges) == 1 else 'become ranges'} with the same ends." if ranges else ""
    if not settings.centre_points:
        # As precise as a main effect: 1/c + 1/n = 4/n.
        wanted = math.ceil(len(known.design.rows) / 3)
        why = f"Nothing has run in the middle, so a response that bends would not be seen; {count(wanted, 'centre point')} show it as"
        why += f" precisely as a main effect.{words}"
        return _if_there_is_a_middle("centre points", why, study, {"centre_points": wanted}, ranges)
    bend = curvature(known.design, known.results)
    if bend is None or bend.interval is None:
        return "axial points: too few rows have finished to tell whether the response bends."
    # The centre less the corners, which is the other way round there.
    off, interval = -bend.estimate, (-bend.interval[1], -bend.interval[0])
    lies = f"{signed(off)} points ({between(interval)})"
    if not (bend.is_hint or bend.stands_out):
        return f"axial points: the centre lies on the plane through the corners, within noise: off by {lies}."
    why = f"The centre lies off the plane through the corners by {lies}: axial points tell which factor bends the response.{words}"
    return _if_there_is_a_middle("axial points", why, study, {"axial_points": True}, ranges)


def _if_there_is_a_middle(name: str, why: str, study: Study, change: dict[str, int], ranges: dict[str, str]) -> Proposal | str:
    design: DesignSettings = study.design.model_copy(update=change)
    try:
        build(design, study.factor_list(), study.seed)
    except DesignError as error:
        lacking = str(error).partition(" need ")[2].partition(". ")[0]
        return f"{name}: they need {lacking}."
    settings = [f"design.{key}={value_text(value)}" for key, value in change.items()]
    return Proposal(name, why, (*settings, *(f"factors.{path}={text}" for path, text in ranges.items())))


def _with_ranges(study: Study) -> tuple[Study, dict[str, str]]:
    """Return the study with each listed pair of rising numbers as the range between them, which has a middle; and the ranges in YAML.

    Falling pairs stay: the range would exchange their ends, and with them the fraction that has been run.
    """
    ranges, texts = {}, {}
    for path, levels in study.factors.items():
        numbers = levels if isinstance(levels, list) and len(levels) == 2 else []
        ends = [float(number) for number in numbers if isinstance(number, int | float) and not isinstance(number, bool)]
        if len(ends) == 2 and ends[0] < ends[1]:
            log = ends[0] > 0 and ends[1] >= LOG_FROM_RATIO * ends[0]
            ranges[path] = Range(low=ends[0], high=ends[1], scale="log" if log else "linear")
            texts[path] = f"{{low: {numbers[0]!r}, high: {numbers[1]!r}{', scale: log' if log else ''}}}"
    return study.model_copy(update={"factors": {**study.factors, **ranges}}), texts


def _sees_squares(design: Design) -> bool:
    """Whether the rows can tell the pure square of every numeric factor from mean and main effects."""
    numeric = [at for at, factor in enumerate(design.factors) if factor.is_numeric]
    mains = main_effect_columns(design.factors, design.coded)[1]
    columns = np.column_stack([np.ones(len(mains)), mains, design.coded[:, numeric] ** 2])
    return bool(np.linalg.matrix_rank(columns) == columns.shape[1])
