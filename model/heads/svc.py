"""The support vector classifier with an RBF kernel on the embedding, by scikit-learn."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hadamard.model.heads.base import ClosedFormHead, FittedHead, Labels, Vectors


class SvcHead(ClosedFormHead):
    """Support vector classifier with an RBF kernel on the embedding."""

    kind: Literal["svc"]
    C: Annotated[float, Field(gt=0)] = 1.0

    def parameters(self, dimension: int) -> None:
        """Return None: the number of support vectors depends on the data."""

    def fit(self, embeddings: Vectors, labels: Labels, seed: int) -> FittedHead:
        """Fit the head; its support vectors are counted as its parameters, as the paper does."""
        from hadamard.model.heads.fitted import SVC, FittedClassifier

        classifier = SVC(C=self.C, random_state=seed).fit(embeddings, labels)
        return FittedClassifier(classifier, int(classifier.n_support_.sum()))
