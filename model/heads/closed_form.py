"""Classical heads fitted in one go by scikit-learn: logistic regression, the support vector classifier, random Fourier features.

Owns their fit and their parameter counts. Does not own the heads that are trained by gradient like the quantum one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC

from hadamard.model.settings import FourierHead, LogisticHead, SvcHead
from hadamard.model.training.evaluation import Score

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class FittedHead:
    """A fitted classifier; its scores as positive-class probabilities where the classifier has them."""

    classifier: LogisticRegression | SVC | Pipeline
    parameters: int
    """Weights and bias of a logistic regression; support vectors of an SVC, as the paper counts them."""

    def score(self, embeddings: Vectors, labels: Labels) -> Score:
        """Return how good it is on these sentences; without a loss for an SVC, which gives no probabilities."""
        right = self.classifier.predict(embeddings) == labels
        if isinstance(self.classifier, SVC):
            return Score(None, right)
        return Score(float(log_loss(labels, self.classifier.predict_proba(embeddings))), right)


def fit(settings: LogisticHead | SvcHead | FourierHead, embeddings: Vectors, labels: Labels, seed: int) -> FittedHead:
    """Fit the head on embeddings [sentences, dimension] and labels [sentences]."""
    seed %= 2**32
    if isinstance(settings, SvcHead):
        svc = SVC(C=settings.C, random_state=seed).fit(embeddings, labels)
        return FittedHead(svc, int(svc.n_support_.sum()))
    logistic = LogisticRegression(C=settings.C, max_iter=MAX_ITERATIONS, random_state=seed)
    if isinstance(settings, LogisticHead):
        logistic.fit(embeddings, labels)
        return FittedHead(logistic, logistic.coef_.size + logistic.intercept_.size)
    features = RBFSampler(gamma=settings.gamma, n_components=settings.features, random_state=seed)
    return FittedHead(make_pipeline(features, logistic).fit(embeddings, labels), settings.features + 1)
