"""A trained network as it is used: on samples as they are, not as they were shown to it.

Letters: B samples, C channels, H height, W width, F features, K classes.
"""

import math

import torch
from torch import Tensor, nn

from lowland.networks.description import Description
from lowland.networks.shape import ImageShape

#: The pixel that is 1 where images are numbers from 0 to 1.
_WHITE = 255


class Trained(nn.Module):
    """A network, with what normalises its inputs before it and what restores a regression's units behind it.

    Args:
        network: takes normalised samples.
        description: what it was trained on.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, description: Description) -> None:
        super().__init__()
        self.network = network
        """The bare one: what `model.safetensors` holds is its `state_dict`."""
        self.description = description
        """Where the rest stands: model, features' names, mean and deviation."""
        scale = description.normalised.inputs
        sizes = (-1, 1, 1) if isinstance(description.shape, ImageShape) else (-1,)
        std = [math.inf if value is None else value for value in scale.std]
        self.register_buffer("mean", torch.tensor(scale.mean, dtype=torch.float32).reshape(sizes))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(sizes))

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Their names in the order of the logits; None in regression."""
        return None if self.description.classes is None else tuple(self.description.classes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample: (C, H, W) of an image, or (F,)."""
        return tuple(self.description.input_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Answer some samples.

        Args:
            x: images [B, C, H, W], uint8 from 0 to 255 or floating point from 0 to 1; or features [B, F] in the
                dataset's own units.

        Returns:
            Logits [B, K]; in regression values [B] in the target's own units.

        Raises:
            ValueError: samples of another shape than those it was trained on.
        """
        if tuple(x.shape[1:]) != self.input_shape:
            wanted, given = (", ".join(str(side) for side in sizes) for sizes in (self.input_shape, x.shape))
            raise ValueError(f"x is [{given}]; give [B, {wanted}], the shape of the samples it was trained on")
        if x.dim() == 4 and x.is_floating_point():
            x = x * _WHITE  # exact for what was a byte
        outputs = self.network((x.to(self.mean.dtype) - self.mean) / self.std)
        scale = self.description.normalised.targets
        return outputs if scale is None else outputs[:, 0] * scale.std + scale.mean
