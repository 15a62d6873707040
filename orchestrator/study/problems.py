"""Pydantic's validation errors as problems of a study file: plain wording, locations without the tags of unions, and suggestions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from hadamard.orchestrator.study.file import Location, Problem

PLAIN = {
    "list_type": "should be a list",
    "dict_type": "should be a mapping of keys to values",
    "model_type": "should be a mapping of keys to values",
    "model_attributes_type": "should be a mapping of keys to values",
    "missing": "is missing",
    "string_pattern_mismatch": "should be letters, digits, dots, dashes and underscores, and begin with a letter or digit",
}


def problems_of(error: ValidationError, model: type[BaseModel], content: Any) -> list[Problem]:
    """Return one problem per location and message.

    Args:
        error: What pydantic raised.
        model: The class that was validated.
        content: The plain content of the study file, in which locations are looked up.
    """
    problems = [Problem(message, _location(content, details)) for details, message in _messages(error, model)]
    return list(dict.fromkeys(problems))


def messages_of(error: ValidationError, model: type[BaseModel]) -> str:
    """Return all messages as one text, for a value whose location is known."""
    return "; ".join(dict.fromkeys(message for _, message in _messages(error, model)))


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean x?` if one of the known names is close, and the list of them all."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return (f" Did you mean {close[0]}?" if close else "") + (f" Choose from: {', '.join(known)}" if known else "")


def plain_types(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation is made of, without unions, metadata and literals around them."""
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from plain_types(part)
    elif get_origin(annotation) is Annotated:
        yield from plain_types(get_args(annotation)[0])
    elif get_origin(annotation) is Literal:
        yield from map(type, get_args(annotation))
    else:
        yield annotation


def _messages(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Any, str]]:
    """Yield each of pydantic's errors and its message; of a number that may also be a word, both choices are in one message."""
    errors = error.errors()
    words = {details["loc"][:-1]: details for details in errors if "literal[" in str(details["loc"][-1:])}
    for details in errors:
        word = words.get(details["loc"][:-1])
        if details is not word:
            yield details, _message(details, model) + (f"; or {word['ctx']['expected']}" if word else "")


def _message(details: Any, model: type[BaseModel]) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key.{suggestion(str(details['loc'][-1]), _fields_at(model, details['loc'][:-1]))}"
    if kind == "literal_error":
        return f"{value!r} is not known.{suggestion(str(value), _unquoted(context['expected'].replace(' or ', ', ')))}"
    if kind == "union_tag_invalid":
        return f"kind {context['tag']!r} is not known.{suggestion(context['tag'], _unquoted(context['expected_tags']))}"
    if kind == "union_tag_not_found":
        return "needs a kind" if isinstance(value, dict) else PLAIN["dict_type"]
    shown = f" (given: {value!r})" if isinstance(value, (str, int, float, bool)) else ""
    return PLAIN.get(kind, f"{details['msg'][0].lower()}{details['msg'][1:]}") + shown


def _unquoted(names: str) -> list[str]:
    return [name.strip("'") for name in names.split(", ")]


def _location(node: Any, details: Any) -> Location:
    """Return the parts of a pydantic location that the content has, and the name of a missing key."""
    parts: list[str | int] = []
    for depth, key in enumerate(details["loc"]):
        if (isinstance(node, dict) and key in node) or (isinstance(node, list) and isinstance(key, int) and key < len(node)):
            node = node[key]
            parts.append(key)
        elif details["type"] == "missing" and depth == len(details["loc"]) - 1:
            parts.append(key)
    return tuple(parts)


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    """Return the valid keys at a location, which may hold the tags of unions."""
    candidates: list[Any] = [model]
    for key in location:
        models = [candidate for candidate in candidates if isinstance(candidate, type) and issubclass(candidate, BaseModel)]
        tagged = [model for model in models if "kind" in model.model_fields and key in get_args(model.model_fields["kind"].annotation)]
        tagged = tagged or [model for model in models if model.__name__.lower() == key]
        inner = [part for model in models if key in model.model_fields for part in plain_types(model.model_fields[str(key)].annotation)]
        values = [
            part for candidate in candidates if get_origin(candidate) in (list, dict) for part in plain_types(get_args(candidate)[-1])
        ]
        candidates = tagged or inner or values or models
    return [name for found in candidates if isinstance(found, type) and issubclass(found, BaseModel) for name in found.model_fields]
