"""The study file as text: YAML with line numbers, `--set` overrides, and problems located at file:line.

What is valid in it is in `schema.py` and `validation.py`.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from hadamard.model.errors import UserError
from hadamard.orchestrator.study.packaged import packaged_studies, study_path
from hadamard.orchestrator.study.yaml_limits import LimitError, check_extent, read_limited

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """A mistake in a study: the message, the location in the study, and the line of the file."""

    message: str
    location: Location = ()
    where: str = ""
    """`file:line` or `--set ...`; empty until the problem is located."""

    def __str__(self) -> str:
        """Return `file:line: path: message`."""
        return ": ".join(part for part in (self.where, ".".join(map(str, self.location)), self.message) if part)


class StudyError(UserError):
    """A study cannot be run as it is; the message has a line for every problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def located(self, file: StudyFile) -> StudyError:
        """Return the same problems, each with its file and line."""
        return StudyError([problem if problem.where else replace(problem, where=file.where(problem.location)) for problem in self.problems])


@contextmanager
def located(path: Path, overrides: Sequence[str]) -> Iterator[None]:
    """Add file and line to the problems of a StudyError that is raised inside."""
    try:
        yield
    except StudyError as error:
        raise error.located(StudyFile.read(path, overrides)) from error


@dataclass
class StudyFile:
    """The parsed file, with `--set` overrides applied on top."""

    path: Path
    content: CommentedMap
    overrides: dict[Location, str] = field(default_factory=dict)
    """Each override as on the command line, by its location."""

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> StudyFile:
        """Read the file and apply overrides of the form `a.b=value`, the value in YAML.

        A study's directory keeps the study as it was last run: its `study.json` is a study file, too. Where there is no such file,
        the path may be the name of a packaged study, such as `quickstart`.

        Raises:
            StudyError: The file is missing or not YAML, or an override is malformed.
        """
        path = study_path(path)
        try:
            text = read_limited(path)
        except FileNotFoundError as error:
            reason = f"cannot be read: no such file, and no packaged study of that name; there are {', '.join(packaged_studies())}"
            raise StudyError([Problem(reason, where=str(path))]) from error
        except (OSError, UnicodeDecodeError, LimitError) as error:
            raise StudyError([Problem(f"cannot be read: {error}", where=str(path))]) from error
        content = _parse(text, str(path))
        if not isinstance(content, CommentedMap):
            raise StudyError([Problem("a study is a mapping of settings, such as `study: my-study`", where=f"{path}:1")])
        if isinstance(content.get("study"), CommentedMap):  # JSON is YAML, and in a directory's study.json the study is one of the keys
            content = content["study"]
        file = cls(path, content)
        for override in overrides:
            file._apply(override)
        return file

    def plain(self) -> dict[str, Any]:
        """Return the content as plain dictionaries, lists and scalars."""
        plain = _plain(self.content)
        assert isinstance(plain, dict)
        return plain

    def where(self, location: Location) -> str:
        """Return `file:line` of the value at a location, or of its nearest ancestor in the file; `--set ...` if an override set it."""
        inside = [keys for keys in self.overrides if location and keys[: len(location)] == location]
        around = [location[:length] for length in range(len(location), 0, -1) if location[:length] in self.overrides]
        if keys := next(iter(around + inside), None):
            return f"--set {self.overrides[keys]}"
        node: Any = self.content
        line = 1
        for key in location:
            if isinstance(node, CommentedMap) and key in node:
                line = (node.lc.key(key) if key in (node.lc.data or {}) else (line - 1, 0))[0] + 1
                node = node[key]
            elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
                line = node.lc.item(key)[0] + 1
                node = node[key]
        return f"{self.path}:{line}"

    def _apply(self, override: str) -> None:
        dotted, equals, text = override.partition("=")
        keys = tuple(dotted.split("."))
        if not equals or not all(keys):
            raise StudyError([Problem("write it as path.to.key=value, for example training.epochs=5", where=f"--set {override}")])
        if keys[0] in ("factors", "tune") and len(keys) > 1:  # the names in there are themselves dotted paths
            keys = (keys[0], ".".join(keys[1:]))
        value = _parse(text, f"--set {override}")
        node = self.content
        for key in keys[:-1]:
            if not isinstance(node.get(key), CommentedMap):
                node[key] = CommentedMap()
            node = node[key]
        node[keys[-1]] = value
        self.overrides[keys] = override


def _parse(text: str, where: str) -> Any:
    line = 0
    try:
        check_extent(text)
        return YAML(typ="rt").load(io.StringIO(text))
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line = mark.line + 1 if mark is not None else 0
        reason: object = getattr(error, "problem", None) or error
    except LimitError as error:
        line, reason = error.line, error
    except Exception as error:  # values that claim a type which they are not: each type has its own way to fail
        reason = f"a value is not what its type says ({error or type(error).__name__})"
    shown = textwrap.shorten(str(reason), 200)
    raise StudyError([Problem(f"not valid YAML: {shown}", where=f"{where}:{line}" if line and not where.startswith("--set") else where)])


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):  # ruamel's scalars remember their spelling in subclasses of these
        if isinstance(node, kind):
            return kind(node)
    return node
