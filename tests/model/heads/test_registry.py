"""The registry of heads: names, the type of a setting that may be any of them, and that each states what it builds."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from hadamard.model.heads.base import ClosedFormHead, GradientHead, HeadSettings
from hadamard.model.heads.registry import DEFAULT, HEADS, kind_name, union_of
from hadamard.model.simulators.registry import open_simulator

DIMENSION = 64


def test_kinds_have_names_of_their_own() -> None:
    names = [kind_name(head) for head in HEADS]
    assert len(set(names)) == len(names) >= 6
    assert all(issubclass(head, GradientHead | ClosedFormHead) for head in HEADS)


def test_a_head_is_read_by_its_kind_and_without_one_is_the_default() -> None:
    adapter = TypeAdapter[HeadSettings](union_of(HEADS, DEFAULT))
    for head in HEADS:
        assert type(adapter.validate_python({"kind": kind_name(head)})) is head
    assert type(adapter.validate_python({})) is DEFAULT
    made = DEFAULT.model_validate({})
    assert adapter.validate_python(made) == made
    with pytest.raises(ValidationError, match=f"'nothing'.*{kind_name(HEADS[1])}"):
        adapter.validate_python({"kind": "nothing"})


def test_without_a_default_the_kind_has_to_be_named() -> None:
    adapter = TypeAdapter[HeadSettings](union_of(HEADS[1:]))
    with pytest.raises(ValidationError):
        adapter.validate_python({})
    with pytest.raises(ValidationError):
        adapter.validate_python({"kind": kind_name(HEADS[0])})


@pytest.mark.parametrize("head", [head for head in HEADS if issubclass(head, GradientHead)], ids=kind_name)
def test_a_head_trained_by_gradient_has_as_many_parameters_as_it_states(head: type[GradientHead]) -> None:
    settings = head.model_validate({"kind": kind_name(head)})
    settings.check(DIMENSION, train=100)
    train = torch.randn(100, DIMENSION, generator=torch.Generator().manual_seed(1))
    batch = head.build([settings] * 2, [train] * 2, open_simulator("torch") if head.simulated else None)
    parameters = batch.initial_parameters([torch.Generator().manual_seed(seed) for seed in range(2)])
    assert parameters.shape == (2, settings.parameters(DIMENSION))
