"""Trials of a study: every row of the design and every baseline, on every split, with a key that is a hash of what decides the result.

Owns seeds and keys. Does not own where or when a trial runs.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from hadamard.model.data.splits import draw_fold, draw_split
from hadamard.model.errors import SettingsError
from hadamard.model.heads.base import ClosedFormHead
from hadamard.model.representation.embeddings import TUNING_VERSION
from hadamard.model.settings import Fold, Mpi
from hadamard.model.trial import Trial, TrialSettings
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.design.factors import Value
from hadamard.orchestrator.study.file import Location, Problem, StudyError
from hadamard.orchestrator.study.inputs import Inputs, corpus_of, inputs_of
from hadamard.orchestrator.study.problems import messages_of
from hadamard.orchestrator.study.rank_settings import check_ranks
from hadamard.orchestrator.study.schema import REPRESENTATION, Candidates, Study, with_values

DIGEST_LENGTH = 12
RESULTS_VERSION = 2
"""Part of every key: raised when a change of the code changes results, so that old and new ones never mix."""


@dataclass(frozen=True)
class Arm:
    """What is run on every split: a row of the design or a baseline."""

    name: str
    settings: TrialSettings
    replicate: int
    """Counts rows of the same settings, which get different seeds."""
    factors: dict[str, Value]
    """The row's values by dotted path; of a baseline, only what representation it has, where that is a factor."""
    candidate: int | None = None
    """Which of the settings that are to be chosen from; None where there is nothing to choose."""
    folds: tuple[Fold, ...] = ()
    """Of the cross-validation by which it may be chosen."""


def trials_of(study: Study, design: Design) -> tuple[Trial, ...]:
    """Return all trials: the rows in run order, then the baselines; within each, the splits.

    Raises:
        StudyError: Rows whose settings cannot go together; every such row is named.
        DataError, SentenceEncoderError: A corpus or sentence encoder is not there.
    """
    rows, baselines = _rows(study, design), _baselines(study)
    found = {
        (trial.arm, trial.digest): trial  # a candidate that differs in what decides nothing, such as how a frozen encoder is tuned, is none
        for arm in reversed([*rows, *baselines])
        for split in reversed(range(study.design.splits))
        for fold in reversed((None, *arm.folds))
        for trial in [_trial(study, arm, inputs_of(arm.settings), split, fold)]
    }
    trials = tuple(reversed(found.values()))
    _check_twins(trials, {arm.name for arm in baselines})
    for data, seed in {(trial.settings.data, trial.split_seed) for trial in trials}:
        draw_split(corpus_of(data), data, seed)  # too few sentences, or too many copies, are found out now
        if study.selection:
            draw_fold(corpus_of(data), data, seed, study.selection.all_folds()[0])
    return trials


def _check_twins(trials: Sequence[Trial], baselines: set[str]) -> None:
    """Raise a StudyError if two arms would be the same trials: a factor then decides nothing, or a baseline is there twice."""
    twins: dict[str, list[str]] = {}
    for trial in trials:
        twins.setdefault(trial.digest, []).append(trial.arm)
    problems = []
    for arms in sorted({tuple(arms) for arms in twins.values() if len(arms) > 1}):
        place: Location = ("baselines",) if baselines & set(arms) else ("factors",)
        why = "leave one out" if baselines & set(arms) else "what tells them apart decides nothing for this head or representation"
        problems.append(Problem(f"{' and '.join(arms)} are the same head with the same settings: {why}", place))
    if problems:
        raise StudyError(problems)


def _rows(study: Study, design: Design) -> list[Arm]:
    """Return the rows in run order; rows that cannot be run are named together where the reason is the same."""
    arms, seen = [], Counter[str]()
    refused: dict[tuple[str, Location], list[str]] = {}
    for index in design.run_order:
        row = design.rows[index]
        for candidate, values in _candidates(study.tune):
            place: Location = ("tune",) if values else ("factors",)
            try:
                settings = with_values(study.settings, {**row.settings, **values})
                _check_settings(study, settings)
                if not any(path == "simulator" or path.startswith("mpi.") for path in row.settings):
                    place = ("mpi",)
                check_ranks(settings)
            except ValidationError as error:
                refused.setdefault((messages_of(error, TrialSettings), place), []).append(row.name)
                continue
            except SettingsError as error:
                refused.setdefault((str(error), place), []).append(row.name)
                continue
            same = settings.model_dump_json()
            arms.append(Arm(row.name, settings, seen[same], row.values, candidate, _folds(study, candidate)))
            seen[same] += 1
    if refused:
        raise StudyError([Problem(f"rows {', '.join(sorted(set(names)))}: {reason}", place) for (reason, place), names in refused.items()])
    return arms


def _baselines(study: Study) -> list[Arm]:
    """Return the baselines, each on every representation that rows have; one fitted in one go cannot be trained with its encoder."""
    arms = []
    levels = study.factors.get(REPRESENTATION)
    for name, one in study.named_baselines().items():
        for level in levels if isinstance(levels, list) else [study.sentence_encoder.representation]:
            if levels and level == "unfrozen" and isinstance(one.head, ClosedFormHead):
                continue
            for candidate, values in _candidates(one.tune):
                settings = study.settings.model_copy(update={"head": one.head})
                settings = with_values(settings, {REPRESENTATION: level, **values})
                try:
                    _check_settings(study, settings)
                except SettingsError as error:
                    raise StudyError([Problem(f"{name}: {error}", ("baselines",))]) from error
                named, factors = (f"{name}.{level}", {REPRESENTATION: level}) if levels else (name, {})
                arms.append(Arm(named, settings, 0, dict(factors), candidate, _folds(study, candidate)))
    return arms


def _check_settings(study: Study, settings: TrialSettings) -> None:
    """Raise a SettingsError if settings cannot go together, on the smallest training side that a split or fold has."""
    train, validation = settings.data.set_sizes
    folds = study.selection.all_folds() if study.selection else ()
    smallest = min([train, *(train + validation - 2 * settings.data.fold_size(fold) for fold in folds)])
    settings.check(inputs_of(settings).sentence_encoder.dimension, smallest)


def _candidates(tune: Candidates) -> list[tuple[int | None, dict[str, Value]]]:
    """Return every combination of the values to be tuned, numbered; where there is one only, nothing is chosen and it has no number."""
    found = [dict(zip(tune, values, strict=True)) for values in itertools.product(*tune.values())]
    return [(number if len(found) > 1 else None, values) for number, values in enumerate(found)]


def _folds(study: Study, candidate: int | None) -> tuple[Fold, ...]:
    return study.selection.all_folds() if study.selection and candidate is not None else ()


def _trial(study: Study, arm: Arm, inputs: Inputs, split: int, fold: Fold | None) -> Trial:
    """Return one trial. A split's seed depends on study and split alone: the same splits serve every arm, as blocks.

    `simulator: auto` stays in the key: simulators agree to rounding, and a study may go on where another one is the fastest.
    """
    split_seed = _seed(study.seed, 1, split)
    part = [] if fold is None else [1 + fold.repeat, fold.index]
    seed = _seed(study.seed, 2, split, arm.replicate, *part)
    hashes = {"data_hash": inputs.corpus.hash, "sentence_encoder_hash": inputs.sentence_encoder.hash}
    decides = [RESULTS_VERSION, _deciding(arm.settings), *hashes.values(), split_seed, seed, arm.replicate]
    if fold is not None:
        decides.append(fold.model_dump())
    identity = json.dumps(decides, sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:DIGEST_LENGTH]
    return Trial(
        key=f"{key_front(arm.name, arm.candidate)}-s{split:02d}{'' if fold is None else f'.r{fold.repeat}f{fold.index}'}-{digest}",
        arm=arm.name,
        candidate=arm.candidate,
        fold=fold,
        settings=arm.settings,
        split=split,
        split_seed=split_seed,
        seed=seed,
        replicate=arm.replicate,
        factors=arm.factors,
        **hashes,
    )


def key_front(arm: str, candidate: int | None) -> str:
    """Return the front of a trial's key, such as `r07`, or `r07.c2` where the arm has candidates."""
    return arm if candidate is None else f"{arm}.c{candidate}"


def named_by(trial: Trial, key: str) -> Trial:
    """Return the trial under another key of the same digest, which it has where its row has got another number since it was entered."""
    front = key.rsplit("-", 2)[0]
    arm, _, number = front.rpartition(".c") if trial.candidate is not None else (front, "", None)
    return trial.model_copy(update={"key": key, "arm": arm, "candidate": number and int(number)})


def _deciding(settings: TrialSettings) -> dict[str, object]:
    """Return the settings that decide a result: not where data and encoder lie (their hashes count), nor what a classical head ignores."""
    content = settings.model_dump(mode="json", exclude={"sentence_encoder": {"name"}, "data": {"name", "path", "sentences", "difficulty"}})
    match settings.sentence_encoder.representation:
        case "frozen":
            del content["sentence_encoder"]  # nothing is tuned
        case "setfit":
            content["tuning_version"] = TUNING_VERSION
        case "unfrozen":
            for name in ("pairs", "epochs", "batch"):
                del content["sentence_encoder"]["tuning"][name]
    if settings.mpi == Mpi() or not settings.head.simulated:
        del content["mpi"]  # how many ranks train it is rounding, too; named, they may be a factor
    if not settings.head.simulated:
        del content["simulator"]
    if isinstance(settings.head, ClosedFormHead):
        del content["training"], content["precision"]
    return content


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
