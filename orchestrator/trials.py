"""Trials of a study: every row of the design and every baseline, on every split, with a key that is a hash of what decides the result.

Owns seeds and keys. Does not own where or when a trial runs.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator

import numpy as np
from pydantic import ValidationError

from model.errors import SettingsError
from model.head_layout import check_width
from model.settings import LogisticHead, QuantumHead, SvcHead, Trial, TrialSettings
from model.simulators import ADJOINT_DEVICES, resolve
from orchestrator.design.design import Design
from orchestrator.design.factors import Value
from orchestrator.inputs import Inputs, inputs_of
from orchestrator.study import Study, check_head, with_values
from orchestrator.study_file import Problem, StudyError

RESULTS_VERSION = 1
"""Part of every key: raised when a change of the code changes results, so that old and new ones never mix."""


def trials_of(study: Study, design: Design) -> tuple[Trial, ...]:
    """Return all trials: the rows in run order, then the baselines; within each, the splits.

    Raises:
        StudyError: Rows whose settings cannot go together; every such row is named.
        DataError, SentenceEncoderError: A corpus or sentence encoder is not there.
    """
    arms = [*_rows(study, design), *_baselines(study)]
    return tuple(
        _trial(study, arm, settings, inputs_of(settings), split, replicate, values)
        for arm, settings, replicate, values in arms
        for split in range(study.design.splits)
    )


def _rows(study: Study, design: Design) -> Iterator[tuple[str, TrialSettings, int, dict[str, Value]]]:
    problems = []
    seen: Counter[str] = Counter()
    arms = []
    for index in design.run_order:
        row = design.rows[index]
        try:
            settings = with_values(study.settings, row.values)
            check_head(settings.head)
            if isinstance(settings.head, QuantumHead):
                check_width(settings.head, inputs_of(settings).encoder.dimension)
                if settings.head.reduction == "projection" and settings.simulator in ADJOINT_DEVICES:
                    raise SettingsError(f"a trained projection needs the gradient of the state, which {settings.simulator} does not give")
        except (ValidationError, SettingsError) as error:
            shown = ", ".join(f"{path}={value}" for path, value in row.values.items())
            problems.append(Problem(f"row {row.name} ({shown})", "", str(error)))
            continue
        same = settings.model_dump_json()
        arms.append((row.name, settings, seen[same], row.values))
        seen[same] += 1
    if problems:
        raise StudyError(sorted(problems, key=str))
    yield from arms


def _baselines(study: Study) -> Iterator[tuple[str, TrialSettings, int, dict[str, Value]]]:
    for name, head in study.baseline_heads().items():
        yield name, study.settings.model_copy(update={"head": head}), 0, {}


def _trial(study: Study, arm: str, settings: TrialSettings, inputs: Inputs, split: int, replicate: int, values: dict[str, Value]) -> Trial:
    """Return one trial. A split's seed depends on study and split alone: the same splits serve every arm, as blocks."""
    settings = settings.model_copy(update={"simulator": resolve(settings.simulator)})
    split_seed = _seed(study.seed, 1, split)
    seed = _seed(study.seed, 2, split, replicate)
    identity = json.dumps(
        [RESULTS_VERSION, _deciding(settings), inputs.corpus.hash, inputs.encoder.hash, split_seed, seed, replicate], sort_keys=True
    )
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return Trial(
        key=f"{arm}-s{split:02d}-{digest}", arm=arm, settings=settings, data_hash=inputs.corpus.hash, encoder_hash=inputs.encoder.hash,
        split=split, split_seed=split_seed, seed=seed, replicate=replicate, factors=values,
    )  # fmt: skip


def _deciding(settings: TrialSettings) -> dict[str, object]:
    """Return the settings that decide a result: not where data and encoder lie (their hashes count), nor what a classical head ignores."""
    content = settings.model_dump(mode="json", exclude={"sentence_encoder": True, "data": {"name", "path", "sentences", "difficulty"}})
    if not isinstance(settings.head, QuantumHead):
        del content["simulator"]
    if isinstance(settings.head, LogisticHead | SvcHead):
        del content["training"]
    return content


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
