"""Logistic regression on random Fourier features, by scikit-learn."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hadamard.model.heads.base import ClosedFormHead, FittedHead, Labels, Vectors


class FourierHead(ClosedFormHead):
    """Logistic regression on random Fourier features of an RBF kernel (Rahimi and Recht 2007), with a free number of parameters."""

    kind: Literal["fourier"]
    features: Annotated[int, Field(ge=1, le=10**5)] = 885
    """With the bias 886 parameters, as many as the paper's best head has."""
    gamma: Annotated[float, Field(gt=0)] = 1.0
    """Of the kernel exp(-gamma |x - y|^2)."""
    C: Annotated[float, Field(gt=0)] = 1.0

    def parameters(self, dimension: int) -> int:
        """Return the weights of the features and the bias."""
        return self.features + 1

    def fit(self, embeddings: Vectors, labels: Labels, seed: int) -> FittedHead:
        """Fit the head."""
        from hadamard.model.heads.fitted import FittedClassifier, RBFSampler, logistic_regression, make_pipeline

        features = RBFSampler(gamma=self.gamma, n_components=self.features, random_state=seed)
        return FittedClassifier(make_pipeline(features, logistic_regression(self.C, seed)).fit(embeddings, labels), self.features + 1)
