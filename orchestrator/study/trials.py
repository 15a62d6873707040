"""The trials of a study: every row and baseline on every split, with seeds, and keys that hash what decides a result."""

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
MOST_TRIALS = 10**5
RESULTS_VERSION = 2
"""Part of every key: raised when a change of the code changes results, so that old and new ones never mix."""


@dataclass(frozen=True)
class Arm:
    """A row of the design or a baseline, with the settings of one candidate; it is run on every split.

    Attributes:
        name: `r07` for row 7, or the baseline's name.
        settings: Of its trials.
        replicate: Counts rows of the same settings, which get different seeds.
        factors: The row's values by dotted path; of a baseline, only its representation, where that is a factor.
        candidate: Number of the candidate; None where there is nothing to choose.
        folds: Of the cross-validation by which candidates are chosen.
    """

    name: str
    settings: TrialSettings
    replicate: int
    factors: dict[str, Value]
    candidate: int | None = None
    folds: tuple[Fold, ...] = ()


def trials_of(study: Study, design: Design) -> tuple[Trial, ...]:
    """Return all trials: the rows in run order, then the baselines; within each, the splits.

    Raises:
        StudyError: Settings of rows do not go together; every such row is named.
        DataError, SentenceEncoderError: A corpus or sentence encoder is missing.
    """
    rows, baselines = _rows(study, design), _baselines(study)
    if (number := study.design.splits * sum(1 + len(arm.folds) for arm in (*rows, *baselines))) > MOST_TRIALS:
        reason = f"{number:,} trials, with those of cross-validation, are more than the {MOST_TRIALS:,} that a study may have"
        raise StudyError([Problem(f"{reason}: take fewer splits, rows or candidates", ("design", "splits"))])
    by_identity = {
        (trial.arm, trial.digest): trial  # candidates may differ in what decides no result, such as how a frozen encoder is tuned
        for arm in reversed([*rows, *baselines])
        for split in reversed(range(study.design.splits))
        for fold in reversed((None, *arm.folds))
        for trial in [_trial(study, arm, inputs_of(arm.settings), split, fold)]
    }
    trials = tuple(reversed(by_identity.values()))
    _check_duplicates(trials, {arm.name for arm in baselines})
    for data, seed in {(trial.settings.data, trial.split_seed) for trial in trials}:
        draw_split(corpus_of(data), data, seed)  # refuses too few sentences, or too many copies
        if study.selection:
            draw_fold(corpus_of(data), data, seed, study.selection.all_folds()[0])
    return trials


def _check_duplicates(trials: Sequence[Trial], baselines: set[str]) -> None:
    """Raise a StudyError if two arms have the same trials: a factor then decides no result, or a baseline is listed twice."""
    arms_of: dict[str, list[str]] = {}
    for trial in trials:
        arms_of.setdefault(trial.digest, []).append(trial.arm)
    problems = []
    for arms in sorted({tuple(arms) for arms in arms_of.values() if len(arms) > 1}):
        location: Location = ("baselines",) if baselines & set(arms) else ("factors",)
        why = "leave one out" if baselines & set(arms) else "their difference decides no result of this head or representation"
        problems.append(Problem(f"{' and '.join(arms)} are the same head with the same settings: {why}", location))
    if problems:
        raise StudyError(problems)


def _rows(study: Study, design: Design) -> list[Arm]:
    """Return the rows in run order; those that cannot be run are named in one problem for each reason."""
    arms, seen = [], Counter[str]()
    refused: dict[tuple[str, Location], list[str]] = {}
    for index in design.run_order:
        row = design.rows[index]
        for candidate, values in _candidates(study.tune):
            location: Location = ("tune",) if values else ("factors",)
            try:
                settings = with_values(study.settings, {**row.settings, **values})
                _check_settings(study, settings)
                if not any(path == "simulator" or path.startswith("mpi.") for path in row.settings):
                    location = ("mpi",)
                check_ranks(settings)
            except ValidationError as error:
                refused.setdefault((messages_of(error, TrialSettings), location), []).append(row.name)
                continue
            except SettingsError as error:
                refused.setdefault((str(error), location), []).append(row.name)
                continue
            same = settings.model_dump_json()
            arms.append(Arm(row.name, settings, seen[same], row.values, candidate, _folds(study, candidate)))
            seen[same] += 1
    if refused:
        raise StudyError(
            [Problem(f"rows {', '.join(sorted(set(names)))}: {reason}", location) for (reason, location), names in refused.items()]
        )
    return arms


def _baselines(study: Study) -> list[Arm]:
    """Return the baselines, each on every representation that rows have; an unfrozen encoder needs a head that is trained by gradient."""
    arms = []
    levels = study.factors.get(REPRESENTATION)
    for name, baseline in study.named_baselines().items():
        for level in levels if isinstance(levels, list) else [study.sentence_encoder.representation]:
            if levels and level == "unfrozen" and isinstance(baseline.head, ClosedFormHead):
                continue
            for candidate, values in _candidates(baseline.tune):
                settings = study.settings.model_copy(update={"head": baseline.head})
                settings = with_values(settings, {REPRESENTATION: level, **values})
                try:
                    _check_settings(study, settings)
                except SettingsError as error:
                    raise StudyError([Problem(f"{name}: {error}", ("baselines",))]) from error
                arm, factors = (f"{name}.{level}", {REPRESENTATION: level}) if levels else (name, {})
                arms.append(Arm(arm, settings, 0, dict(factors), candidate, _folds(study, candidate)))
    return arms


def _check_settings(study: Study, settings: TrialSettings) -> None:
    """Raise a SettingsError if settings do not go together, on the smallest training side that a split or fold has."""
    train, validation = settings.data.set_sizes
    folds = study.selection.all_folds() if study.selection else ()
    smallest = min([train, *(train + validation - 2 * settings.data.fold_size(fold) for fold in folds)])
    settings.check(inputs_of(settings).sentence_encoder.dimension, smallest)


def _candidates(tune: Candidates) -> list[tuple[int | None, dict[str, Value]]]:
    """Return every combination of the values to be tuned, numbered; the number is None where there is only one."""
    combinations = [dict(zip(tune, values, strict=True)) for values in itertools.product(*tune.values())]
    return [(number if len(combinations) > 1 else None, values) for number, values in enumerate(combinations)]


def _folds(study: Study, candidate: int | None) -> tuple[Fold, ...]:
    return study.selection.all_folds() if study.selection and candidate is not None else ()


def _trial(study: Study, arm: Arm, inputs: Inputs, split: int, fold: Fold | None) -> Trial:
    """Return one trial. A split's seed depends on study and split alone: the same splits serve every arm, as blocks.

    `simulator: auto` stays in the key: simulators agree to rounding, and a study may be continued where another one is the fastest.
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
    """Return the trial under another key of the same digest: the one it was entered with, before its row got another number."""
    front = key.rsplit("-", 2)[0]
    arm, _, number = front.rpartition(".c") if trial.candidate is not None else (front, "", None)
    return trial.model_copy(update={"key": key, "arm": arm, "candidate": number and int(number)})


def _deciding(settings: TrialSettings) -> dict[str, object]:
    """Return the settings that decide a result: not the paths of data and encoder, which have hashes, nor what a classical head ignores."""
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
        del content["mpi"]  # ranks change only rounding; set explicitly, they may be a factor
    if not settings.head.simulated:
        del content["simulator"]
    if isinstance(settings.head, ClosedFormHead):
        del content["training"], content["precision"]
    return content


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
