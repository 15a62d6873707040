"""Pydantic's errors as problems: locations as in the content, plain words, and suggestions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from hadamard.model.settings import Settings
from hadamard.orchestrator.study.problems import messages_of, plain_types, problems_of, suggestion


class Square(Settings):
    kind: Literal["square"]
    side: Annotated[float, Field(gt=0)]


class Circle(Settings):
    kind: Literal["circle"]
    radius: float = 1.0


class Drawing(Settings):
    title: Annotated[str, Field(pattern="^[a-z]+$")] = "untitled"
    shape: Annotated[Square | Circle, Field(discriminator="kind")] = Circle(kind="circle")
    others: Annotated[list[Annotated[Square | Circle, Field(discriminator="kind")]], Field(default_factory=list)]
    count: int | Literal["auto"] = "auto"
    colour: Literal["red", "green"] = "red"


def problems(content: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(content)
    return [(".".join(map(str, problem.location)), problem.message) for problem in problems_of(caught.value, Drawing, content)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"titel": "a"}, ("titel", "unknown key. Did you mean title? Choose from: title, shape, others, count, colour")),
        ({"shape": {"kind": "circle", "radios": 2.0}}, ("shape.radios", "unknown key. Did you mean radius? Choose from: kind, radius")),
        ({"others": [{"kind": "square", "sides": 2.0, "side": 1.0}]}, ("others.0.sides", "unknown key. Did you mean side?")),
        ({"shape": {"kind": "circl"}}, ("shape", "kind 'circl' is not known. Did you mean circle? Choose from: square, circle")),
        ({"shape": {"radius": 2.0}}, ("shape", "needs a kind")),
        ({"shape": 3}, ("shape", "should be a mapping of keys to values")),
        ({"shape": {"kind": "square"}}, ("shape.side", "is missing")),
        ({"shape": {"kind": "square", "side": -1.0}}, ("shape.side", "input should be greater than 0 (given: -1.0)")),
        ({"others": 3}, ("others", "should be a list (given: 3)")),
        ({"colour": "gren"}, ("colour", "'gren' is not known. Did you mean green? Choose from: red, green")),
        ({"count": "many"}, ("count", "input should be a valid integer (given: 'many'); or 'auto'")),
        ({"title": "A b"}, ("title", "should be letters, digits, dots, dashes and underscores, and begin with a letter or digit")),
    ],
)
def test_a_problem_has_its_location_in_the_content_and_plain_words(content: dict[str, Any], expected: tuple[str, str]) -> None:
    ((location, message),) = problems(content)
    assert location == expected[0]
    assert message.startswith(expected[1])


def test_every_problem_is_reported_once() -> None:
    assert [location for location, _ in problems({"titel": "a", "count": 1.5, "shape": {"kind": "circle", "radius": "x"}})] == [
        "shape.radius",
        "count",
        "titel",
    ]


def test_messages_are_joined_for_a_value_whose_location_is_known() -> None:
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate({"count": "many"})
    assert messages_of(caught.value, Drawing) == "input should be a valid integer (given: 'many'); or 'auto'"


def test_a_suggestion_is_made_where_a_name_is_close_and_the_choices_are_always_listed() -> None:
    assert suggestion("epoch", ["epochs", "batch"]) == " Did you mean epochs? Choose from: epochs, batch"
    assert suggestion("zzz", ["epochs"]) == " Choose from: epochs"
    assert suggestion("zzz", []) == ""


def test_plain_types_are_those_inside_unions_metadata_and_literals() -> None:
    annotation: Any = Annotated[int, Field(gt=0)] | Literal["auto"] | list[int]
    assert list(plain_types(annotation)) == [int, str, list[int]]
    assert list(plain_types(BaseModel)) == [BaseModel]
