"""Whether rows can tell all main effects apart, and which rows to add where they cannot. See also `aliases.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hadamard.orchestrator.design.aliases import THE_MEAN, inseparable
from hadamard.orchestrator.design.base import DesignError, DesignSettings, Point
from hadamard.orchestrator.design.candidates import coded_rows, combinations
from hadamard.orchestrator.design.columns import Matrix, main_effect_columns
from hadamard.orchestrator.design.factors import Factor, level_label, value_text

_FAINT = 1e-6
"""Prior information in every direction, so little that whatever the rows cannot see at all comes first."""
_SHOWN = 6


def check_estimable(settings: DesignSettings, factors: Sequence[Factor], coded: Matrix, seed: int) -> None:
    """Refuse rows that cannot estimate the mean and every main effect.

    Args:
        settings: Of the design, for the message.
        factors: The design's factors.
        coded: Its rows [rows, factors].
        seed: Draws the candidates for rows to add where factors have very many combinations of levels.

    Raises:
        DesignError: Effects cannot be told apart; the message names them, and rows that would help.
    """
    terms, mains = main_effect_columns(factors, coded)
    groups, needed = inseparable(terms, mains), 1 + len(terms)
    if not groups:
        return
    rows, of_factors = f"{len(coded)} row{'s' * (len(coded) > 1)}", f"{len(factors)} factor{'s' * (len(factors) > 1)}"
    if len(coded) < needed:
        problem = f"{settings.kind} has {rows}, but the mean and the main effects of {of_factors} need {needed}"
    else:
        problem = f"the {rows} of this {settings.kind} design cannot tell all main effects apart"
    factor_of = {term.label: term.factor for term in terms}
    mixed = [sorted({factor_of[label] for label in group if label != THE_MEAN}) for group in groups]
    added = [_as_written(factors, point) for point in rows_to_add(factors, coded, seed)]
    more = f" and {len(added) - _SHOWN} more" if len(added) > _SHOWN else ""
    advice = "Add" if settings.written_rows() else "Ask for more rows or take another seed; missing are rows such as"
    raise DesignError(
        f"{problem}: {'; '.join(_in_words(factors, coded, mixed))}. "
        f"{advice} {', '.join(added[:_SHOWN])}{more}. Or take out factors or levels."
    )


def rows_to_add(factors: Sequence[Factor], coded: Matrix, seed: int) -> list[Point]:
    """Return the fewest rows, in real values, with which all main effects can be estimated together with these rows [rows, factors].

    Greedily the one combination of levels that raises the determinant of X'X most (Dykstra, Technometrics 13, 1971): as long as there
    is something that the rows cannot see, that is a row which sees it.
    """
    candidates = combinations([factor.choices for factor in factors], seed)
    offered = coded_rows(factors, candidates)
    choices = _model(factors, offered)
    chosen: list[int] = []
    while len(chosen) < choices.shape[1]:
        rows = np.vstack([coded, offered[chosen]])
        terms, mains = main_effect_columns(factors, rows)
        if not inseparable(terms, mains):
            break
        model = _model(factors, rows)
        information = model.T @ model + _FAINT * np.eye(model.shape[1])
        gains = np.sum(choices * np.linalg.solve(information, choices.T).T, axis=1)
        chosen.append(int(np.argmax(gains.round(6))))
    return [candidates[i] for i in chosen]


def _model(factors: Sequence[Factor], coded: Matrix) -> Matrix:
    return np.column_stack([np.ones(len(coded)), main_effect_columns(factors, coded)[1]])


def _in_words(factors: Sequence[Factor], coded: Matrix, mixed: Sequence[Sequence[int]]) -> Iterator[str]:
    """Yield why factors cannot be estimated: one never changes, a level is missing, or several always change together."""
    for group in mixed:
        names = [factors[i].path for i in group]
        alone = [text for i in group if (text := _unmoved(factors[i], coded[:, i]))]
        if alone:
            yield from alone
        elif len(names) == 1:
            yield f"{names[0]} hardly changes"
        elif len(names) == 2:
            yield f"{names[0]} and {names[1]} always change together"
        else:
            yield f"{', '.join(names[:-1])} and {names[-1]} cannot be told apart"


def _unmoved(factor: Factor, column: Matrix) -> str | None:
    """Return which level of a factor is the only one, or which unordered level is never used; None where neither is so."""
    used = sorted(set(column))
    if len(used) == 1:
        return f"{factor.path} is {level_label(factor, used[0])} in every row"
    if not factor.is_unordered or len(used) == len(factor.levels):
        return None
    unused = [value_text(level) for at, level in enumerate(factor.levels) if at not in used]
    return f"{factor.path} is never {' or '.join(unused)}"


def _as_written(factors: Sequence[Factor], point: Point) -> str:
    """Return a row as a study file writes it."""
    return "{" + ", ".join(f"{factor.path}: {value_text(value)}" for factor, value in zip(factors, point, strict=True)) + "}"
