"""Adam for many trials at once: one matrix of parameters, and for each trial its own learning rate and weight decay."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hadamard.model.settings import Training

MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8
"""The defaults of Kingma and Ba (2015), arXiv 1412.6980."""


class Adam:
    """Adam with L2 weight decay in the gradient; a trial's numbers are bit-identical whatever other trials there are.

    Attributes:
        state: [3, trials, parameters]: the parameters, and the running means of their gradients and squared gradients.
        parameters: state[0], the leaf tensor that gradients are computed for.
        steps: Steps taken so far, the same for all trials.
    """

    def __init__(self, state: torch.Tensor, training: Sequence[Training], steps: int) -> None:
        """Continue from a state.

        Args:
            state: [3, trials, parameters]; a fresh one has means and squares of 0.
            training: Of each trial.
            steps: Taken so far.
        """
        self.state = state
        self.parameters, self._mean, self._square = state.unbind()
        self.parameters.requires_grad_()
        self.steps = steps
        column = {"dtype": state.dtype, "device": state.device}
        self._lr = torch.tensor([[settings.lr] for settings in training], **column)  # type: ignore[arg-type]
        self._weight_decay = torch.tensor([[settings.weight_decay] for settings in training], **column)  # type: ignore[arg-type]
        self._decays = any(settings.weight_decay for settings in training)

    @torch.no_grad()
    def step(self, gradients: torch.Tensor) -> None:
        """Take one step against gradients [trials, parameters]."""
        self.steps += 1
        mean_correction, square_correction = 1 - MEAN_DECAY**self.steps, 1 - SQUARE_DECAY**self.steps
        if self._decays:
            gradients = torch.addcmul(gradients, self.parameters, self._weight_decay)
        self._mean.lerp_(gradients, 1 - MEAN_DECAY)
        self._square.mul_(SQUARE_DECAY).addcmul_(gradients, gradients, value=1 - SQUARE_DECAY)
        scale = self._square.sqrt().div_(square_correction**0.5).add_(EPSILON)
        self.parameters.addcdiv_(self._mean * (self._lr / -mean_correction), scale)
