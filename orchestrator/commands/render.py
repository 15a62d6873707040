"""How the result of a verb becomes output: JSON by pydantic, or lines of text made of key-value lists, tables and wrapped notes."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

LINE_WIDTH = 120
_UNLIMITED = 1000
"""Columns of a table, which is never cut."""


class Result(BaseModel):
    """The result of a verb, or a part of it; field names carry units, and None means "not measured" or "not known"."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


AnyResult = TypeVar("AnyResult", bound=Result)


def render(result: AnyResult, text: Callable[[AnyResult], Iterable[str]], as_json: bool) -> str:
    """Return a result as JSON for programs, or as the lines that `text` makes of it."""
    return (result.model_dump_json(indent=1) if as_json else "\n".join(text(result))) + "\n"


def pairs(rows: Iterable[tuple[str, str]], width: int = 10) -> list[str]:
    """Return a line per key and value; values start at the column `width`, behind a longer key after a space."""
    return [f"{key:<{width}}{value}" if len(key) < width else f"{key} {value}" for key, value in rows]


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> list[str]:
    """Return the lines of a table whose first `texts` columns are aligned left and whose others, of numbers, right."""
    grid = Table(box=None, pad_edge=False)
    for column, heading in enumerate(headings):
        grid.add_column(heading, justify="left" if column < texts else "right", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    buffer = io.StringIO()
    Console(file=buffer, width=_UNLIMITED, highlight=False, markup=False).print(grid)
    return [line.rstrip() for line in buffer.getvalue().splitlines()]


def note(key: str, text: str, width: int) -> list[str]:
    """Return a text wrapped behind its key, indented by three columns; further lines start below the first."""
    lines = textwrap.wrap(text, LINE_WIDTH - 3 - width, break_long_words=False, break_on_hyphens=False)
    return [f"   {key if at == 0 else '':<{width}}{line}" for at, line in enumerate(lines)]
