"""Classical heads fitted in one go by scikit-learn: logistic regression and the support vector classifier.

Owns their fit and their parameter counts. Does not own the perceptron, which is trained by gradient like the quantum head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.svm import SVC

from model.settings import LogisticHead, SvcHead

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class FittedHead:
    """A fitted classifier; its scores as positive-class probabilities where the classifier has them."""

    classifier: LogisticRegression | SVC
    parameters: int
    """Weights and bias of a logistic regression; support vectors of an SVC, as the paper counts them."""

    def score(self, embeddings: Vectors, labels: Labels) -> tuple[float | None, float]:
        """Return (mean cross-entropy, accuracy); the loss is None for an SVC, which gives no probabilities."""
        right = float(np.mean(self.classifier.predict(embeddings) == labels))
        if isinstance(self.classifier, SVC):
            return None, right
        return float(log_loss(labels, self.classifier.predict_proba(embeddings))), right


def fit(settings: LogisticHead | SvcHead, embeddings: Vectors, labels: Labels, seed: int) -> FittedHead:
    """Fit the head on embeddings [sentences, dimension] and labels [sentences]."""
    if isinstance(settings, LogisticHead):
        logistic = LogisticRegression(C=settings.C, max_iter=MAX_ITERATIONS, random_state=seed % 2**32).fit(embeddings, labels)
        return FittedHead(logistic, logistic.coef_.size + logistic.intercept_.size)
    svc = SVC(C=settings.C, random_state=seed % 2**32).fit(embeddings, labels)
    return FittedHead(svc, int(svc.n_support_.sum()))
