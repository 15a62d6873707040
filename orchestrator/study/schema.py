"""The settings of a study: those that all trials share, the factors that vary, the design over them, and the classical baselines.

What pydantic cannot check by itself is in `validation.py`, the text of a study file in `file.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag

from hadamard.model.heads.base import HeadSettings
from hadamard.model.heads.registry import HEADS, union_of
from hadamard.model.settings import Fold, Settings
from hadamard.model.trial import TrialSettings
from hadamard.orchestrator.design.factors import Factor, Value
from hadamard.orchestrator.design.registry import AnyDesign
from hadamard.orchestrator.study.budget import Budget
from hadamard.orchestrator.study.problems import plain_types

REPRESENTATION = "sentence_encoder.representation"
"""The factor whose levels baselines have, too: rows on one representation are compared with baselines on the same."""


def _as_baseline(content: object) -> object:
    """Turn a head's kind, or a head with `name` and `tune` next to its settings, into the content of a Baseline."""
    if isinstance(content, str):
        return {"head": {"kind": content}}
    if not isinstance(content, Mapping) or "head" in content:
        return content
    own = {name: content[name] for name in ("name", "tune") if name in content}
    return {"head": {name: value for name, value in content.items() if name not in own}, **own}


def _list_or_range(content: object) -> str:
    return "list" if isinstance(content, list) else "range"


if TYPE_CHECKING:
    BaselineHead: TypeAlias = HeadSettings
else:
    BaselineHead = union_of(tuple(head for head in HEADS if not head.simulated))
Candidates = dict[str, Annotated[list[Value], Field(min_length=1)]]
"""Values of settings by dotted path; every combination is a candidate."""


class Baseline(Settings):
    """A classical head on the splits and embeddings of the rows; in a file, its settings next to `name` and `tune`, or just its kind."""

    head: BaselineHead
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")] | None = None
    """In tables and figures; default: its kind."""
    tune: Candidates = Field(default_factory=dict)
    """As for the study, for this head alone."""


class Selection(Settings):
    """Repeated k-fold cross-validation inside the sentences that a split draws, by which every arm chooses among its candidates."""

    folds: Annotated[int, Field(ge=2, le=1000)] = 4
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1

    def all_folds(self) -> tuple[Fold, ...]:
        """Return every part that is held out once."""
        return tuple(Fold(repeat=repeat, index=index, of=self.folds) for repeat in range(self.repeats) for index in range(self.folds))


class Range(Settings):
    """Levels of a numeric factor as a range."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    levels: Annotated[int, Field(ge=2, le=1000)] = 2
    """How many levels a factorial design takes from the range."""


Levels = Annotated[Annotated[list[Value], Tag("list")] | Annotated[Range, Tag("range")], Discriminator(_list_or_range)]


class Power(Settings):
    """The smallest effect that matters, which the study is to find if it is there."""

    effect: Annotated[float, Field(gt=0, lt=1)]
    """Of a factor from low to high, as a fraction: 0.01 is a point of accuracy."""
    sd: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of one trial's accuracy within its split."""
    power: Annotated[float, Field(gt=0.05, lt=1)] = 0.8
    """Wanted probability of detecting it at the 5 % level."""


class Study(TrialSettings):
    """The content of a study file."""

    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Name; also that of its directory and its MLflow experiment."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seeds run order, splits and initial parameters."""
    factors: dict[str, Levels]
    design: AnyDesign
    tune: Candidates = Field(default_factory=dict)
    """Settings to be chosen for each row and split: by cross-validation if there is a `selection`, else by the validation side."""
    selection: Selection | None = None
    baselines: list[Annotated[Baseline, BeforeValidator(_as_baseline)]] = Field(default_factory=list)
    power: Power | None = None
    """The effect that the study is to find; too few splits for it are refused."""
    budget: Budget = Field(default_factory=Budget)
    """What all runs of the study together may use."""
    grid_g_per_kwh: Annotated[float, Field(gt=0)] | None = None
    """Grams of CO2 that the grid emits for a kilowatt-hour, if the report is to state them."""

    @property
    def settings(self) -> TrialSettings:
        """The settings of a trial where no factor says otherwise."""
        return TrialSettings(**{name: getattr(self, name) for name in TrialSettings.model_fields})

    def factor_list(self) -> tuple[Factor, ...]:
        """Return the factors in the order of the file."""
        return tuple(factor_of(path, levels, self.settings) for path, levels in self.factors.items())

    def baseline_heads(self) -> dict[str, BaselineHead]:
        """Return each baseline's head by its name; see `named_baselines`."""
        return {name: baseline.head for name, baseline in self.named_baselines().items()}

    def named_baselines(self) -> dict[str, Baseline]:
        """Return each baseline by its `name`, or by its kind, numbered where a kind occurs more than once."""
        named: dict[str, Baseline] = {}
        for baseline in self.baselines:
            kind = baseline.head.kind
            same = sum(other.head.kind == kind for other in named.values() if other.name is None)
            named[baseline.name or (f"{kind}{same + 1}" if same else kind)] = baseline
        return named


def with_values(settings: TrialSettings, values: Mapping[str, Value]) -> TrialSettings:
    """Return the settings with the values at these dotted paths; invalid ones raise pydantic's ValidationError."""
    content = settings.model_dump()
    for path, value in values.items():
        *parents, name = path.split(".")
        node = content
        for parent in parents:
            node = node[parent]
        node[name] = value
    return TrialSettings.model_validate(content)


def factor_of(path: str, levels: list[Value] | Range, settings: TrialSettings) -> Factor:
    """Return the factor of a setting with these levels."""
    if isinstance(levels, Range):
        integer = float not in types_of(settings, path)
        return Factor(path, low=levels.low, high=levels.high, scale=levels.scale, steps=levels.levels, integer=integer)
    return Factor(path, levels=tuple(levels))


def types_of(settings: TrialSettings, path: str) -> set[Any]:
    """Return the plain types that the setting at a dotted path takes."""
    *parents, name = path.split(".")
    node: Any = settings
    for parent in parents:
        node = getattr(node, parent)
    return set(plain_types(type(node).model_fields[name].annotation))
