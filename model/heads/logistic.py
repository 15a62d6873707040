"""Logistic regression on the embedding, by scikit-learn."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hadamard.model.heads.base import ClosedFormHead, FittedHead, Labels, Vectors


class LogisticHead(ClosedFormHead):
    """Logistic regression on the embedding."""

    kind: Literal["logistic"]
    C: Annotated[float, Field(gt=0)] = 1.0

    def parameters(self, dimension: int) -> int:
        """Return the weights and the bias."""
        return dimension + 1

    def fit(self, embeddings: Vectors, labels: Labels, seed: int) -> FittedHead:
        """Fit the head."""
        from hadamard.model.heads.fitted import FittedClassifier, logistic_regression

        classifier = logistic_regression(self.C, seed).fit(embeddings, labels)
        return FittedClassifier(classifier, classifier.coef_.size + classifier.intercept_.size)
