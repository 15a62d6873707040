"""Heads that scikit-learn fits: its numbers, their parameters, and what their seeds decide."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from hadamard.model.heads.base import ClosedFormHead
from hadamard.model.heads.fourier import FourierHead
from hadamard.model.heads.logistic import LogisticHead
from hadamard.model.heads.svc import SvcHead

RNG = np.random.default_rng(1)
EMBEDDINGS = RNG.standard_normal((120, 6)).astype(np.float32)
LABELS = (EMBEDDINGS[:, 0] * EMBEDDINGS[:, 1] > 0).astype(np.int64)
TRAIN, TEST = slice(0, 80), slice(80, 120)
HEADS: tuple[ClosedFormHead, ...] = (
    LogisticHead(kind="logistic"),
    SvcHead(kind="svc"),
    FourierHead(kind="fourier", features=40, gamma=0.3),
)


@pytest.mark.parametrize("head", HEADS, ids=[head.kind for head in HEADS])
def test_a_fit_is_a_function_of_its_seed_and_counts_what_it_has_learned(head: ClosedFormHead) -> None:
    first, again = (head.fit(EMBEDDINGS[TRAIN], LABELS[TRAIN], seed=3) for _ in range(2))
    score = first.score(EMBEDDINGS[TEST], LABELS[TEST])
    assert score.correct.shape == (40,)
    assert score.correct.tolist() == again.score(EMBEDDINGS[TEST], LABELS[TEST]).correct.tolist()
    assert head.parameters(6) in (None, first.parameters)
    assert first.parameters > 0


def test_the_logistic_head_has_scikit_learns_loss_and_classes() -> None:
    score = LogisticHead(kind="logistic", C=0.3).fit(EMBEDDINGS[TRAIN], LABELS[TRAIN], seed=0).score(EMBEDDINGS[TEST], LABELS[TEST])
    theirs = LogisticRegression(C=0.3, max_iter=1000).fit(EMBEDDINGS[TRAIN], LABELS[TRAIN])
    probabilities = theirs.predict_proba(EMBEDDINGS[TEST])
    assert score.loss == pytest.approx(-np.log(probabilities[range(40), LABELS[TEST]]).mean())
    assert score.correct.tolist() == (theirs.predict(EMBEDDINGS[TEST]) == LABELS[TEST]).tolist()


def test_the_svc_counts_its_support_vectors_and_has_no_loss() -> None:
    fitted = SvcHead(kind="svc", C=10.0).fit(EMBEDDINGS[TRAIN], LABELS[TRAIN], seed=0)
    assert fitted.parameters == len(SVC(C=10.0).fit(EMBEDDINGS[TRAIN], LABELS[TRAIN]).support_)
    assert fitted.score(EMBEDDINGS[TEST], LABELS[TEST]).loss is None


def test_random_features_learn_a_product_that_no_linear_head_can() -> None:
    linear, features = HEADS[0], FourierHead(kind="fourier", features=300, gamma=0.1, C=10.0)
    accuracies = [
        head.fit(EMBEDDINGS[TRAIN], LABELS[TRAIN], 1).score(EMBEDDINGS[TRAIN], LABELS[TRAIN]).accuracy for head in (linear, features)
    ]
    assert accuracies[0] < 0.75 < 0.9 < accuracies[1]
    other = [features.fit(EMBEDDINGS[TRAIN], LABELS[TRAIN], seed).score(EMBEDDINGS[TEST], LABELS[TEST]).loss for seed in (1, 2)]
    assert other[0] != other[1]
