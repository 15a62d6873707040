"""Limits on the text of a study file, far above any use, so that whatever is given is answered at once: size, depth, aliases, content."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event, NodeEvent

MOST_BYTES = {".json": 64 * 2**20, "": 2**20}
"""Of a file by its suffix: a directory's study.json also lists the trials."""
MOST_NODES, MOST_DEPTH = 10**5, 50
"""Values in a study and levels of nesting, with every alias replaced by what it stands for."""


class LimitError(ValueError):
    """A text is beyond a limit; `line` is where, counted from one."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def read_limited(path: Path) -> str:
    """Return a file's text, of devices and pipes as well; never more than the limit is read.

    Raises:
        OSError, UnicodeDecodeError: It cannot be read, or is not UTF-8.
        LimitError: It is too long.
    """
    most = MOST_BYTES.get(path.suffix, MOST_BYTES[""])
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise LimitError(f"longer than {most // 2**20} MiB: that is no study", 1)
    return content.decode("utf-8-sig")


@dataclass
class _Extent:
    """What a value comes to with its aliases replaced: its number of values, and of levels."""

    nodes: int = 1
    height: int = 1

    def add(self, part: _Extent) -> None:
        self.nodes += part.nodes
        self.height = max(self.height, 1 + part.height)


@dataclass
class _Open:
    """A sequence or mapping whose end has not come yet."""

    anchor: str | None
    extent: _Extent = field(default_factory=_Extent)


def check_extent(text: str) -> None:
    """Refuse a text that would come to too many values or levels; reads no further than that takes.

    Raises:
        LimitError: It would.
        YAMLError: It is not YAML.
    """
    _check(YAML(typ="rt").parse(io.StringIO(text)))


def _check(events: Iterable[Any]) -> None:
    known: dict[str, _Extent] = {}
    whole = _Open(None)
    nest = [whole]
    for event in events:
        if isinstance(event, CollectionStartEvent):
            nest.append(_Open(event.anchor))
        elif isinstance(event, CollectionEndEvent):
            closed = nest.pop()
            _add(closed.extent, closed.anchor, nest, known, event)
        elif isinstance(event, AliasEvent):
            if any(event.anchor == one.anchor for one in nest):
                raise LimitError(f"the alias *{event.anchor} stands for something that it is part of", event.start_mark.line + 1)
            _add(known.get(event.anchor, _Extent()), None, nest, known, event)
        elif isinstance(event, NodeEvent):
            _add(_Extent(), event.anchor, nest, known, event)
        if len(nest) > MOST_DEPTH + 1:
            raise LimitError(f"nested deeper than {MOST_DEPTH} levels", event.start_mark.line + 1)


def _add(part: _Extent, anchor: str | None, nest: list[_Open], known: dict[str, _Extent], event: Event) -> None:
    if anchor is not None:
        known[anchor] = part
    nest[-1].extent.add(part)
    if sum(one.extent.nodes for one in nest) > MOST_NODES:
        raise LimitError(f"more than {MOST_NODES:,} values, aliases counted as often as they are used", event.start_mark.line + 1)
    if len(nest) + part.height > MOST_DEPTH + 2:
        raise LimitError(f"nested deeper than {MOST_DEPTH} levels, with aliases replaced", event.start_mark.line + 1)
