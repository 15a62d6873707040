"""What the heads fitted by scikit-learn share. They import it lazily, since it takes longer than torch to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from hadamard.model.heads.base import Labels, Score, Vectors

__all__ = ["SVC", "FittedClassifier", "RBFSampler", "logistic_regression", "make_pipeline"]

MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class FittedClassifier:
    """A fitted classifier of scikit-learn.

    Attributes:
        classifier: Has `predict`, and `predict_proba` where it gives probabilities.
        parameters: How many numbers it has learned.
    """

    classifier: Any
    parameters: int

    def score(self, embeddings: Vectors, labels: Labels) -> Score:
        """Return how good it is on these sentences; the loss is None where it gives no probabilities."""
        correct = self.classifier.predict(embeddings) == labels
        if not hasattr(self.classifier, "predict_proba"):
            return Score(None, correct)
        return Score(float(log_loss(labels, self.classifier.predict_proba(embeddings))), correct)


def logistic_regression(regularisation: float, seed: int) -> Any:
    """Return an unfitted logistic regression; `regularisation` is scikit-learn's C, its inverse strength."""
    return LogisticRegression(C=regularisation, max_iter=MAX_ITERATIONS, random_state=seed)
