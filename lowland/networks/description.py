"""What a file of weights says of itself: all that is needed to build the network again and to feed it.

It stands in the header of `model.safetensors`, as JSON under one key: safetensors writes several in no fixed order, and
the same weights shall be the same bytes.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_serializer, model_validator

from lowland.networks.shape import InputShape, shape_of
from lowland.spec.base import Conflict, SpecModel
from lowland.spec.models import ModelSpec

#: The key in the header, and the number that changes when an older reader would read it wrongly.
KEY: Final = "lowland"
FORMAT: Final = 1


class NotDescribed(Exception):
    """The header has no description, or none that this version can read; the message says which."""


class _Header(SpecModel):
    """Passes over keys that a later version has added; one that matters comes with another format."""

    model_config = ConfigDict(extra="ignore")


class InputScale(_Header):
    """What the network is shown is `(x - mean) / std`: of pixels from 0 to 255, or of features."""

    mean: list[float]
    """One number for each channel or feature."""
    std: list[float | None]
    """Likewise; null where it was the same in the whole training part, and is shown as 0."""


class OutputScale(_Header):
    """What a regression's network says becomes a target by `y * std + mean`."""

    mean: float
    std: float


class Normalised(_Header):
    """How the network's inputs and outputs relate to the dataset's."""

    inputs: InputScale
    targets: OutputScale | None
    """Null in classification."""


class Description(_Header):
    """A trained network, without its weights."""

    format: Literal[1] = FORMAT
    model: ModelSpec
    input_shape: list[int] = Field(min_length=1, max_length=3)
    """Of one sample: [channels, height, width] of an image, or [features]."""
    features: list[str] | None
    """Their names in order; null of images, and where they have none."""
    classes: list[str] | None
    """Their names in the order of the outputs; null in regression."""
    normalised: Normalised

    @property
    def shape(self) -> InputShape:
        """What a sample is like."""
        return shape_of(self.input_shape)

    @property
    def outputs(self) -> int:
        """Numbers the network says of one sample."""
        return 1 if self.classes is None else len(self.classes)

    def header(self) -> dict[str, str]:
        """For safetensors."""
        return {KEY: self.model_dump_json()}

    @classmethod
    def of(cls, header: Mapping[str, str] | None) -> Self:
        """Read a file's header.

        Raises:
            NotDescribed: it says nothing, or something that this version does not know.
        """
        if (written := (header or {}).get(KEY)) is None:
            raise NotDescribed("its header does not say which network it is of")
        try:
            return cls.model_validate_json(written)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(step) for step in first["loc"])
            raise NotDescribed(f"its header cannot be read ({field}: {first['msg']})") from error

    @field_serializer("model")
    def _without_origin(self, model: ModelSpec) -> dict[str, Any]:
        """Where the first weights came from does not matter to who uses the last."""
        return {"name": model.name, **model.options()}

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        scale, numbers = self.normalised.inputs, self.input_shape[0]
        if len(self.input_shape) == 2 or not len(scale.mean) == len(scale.std) == numbers:
            raise Conflict("normalised", "input_shape and normalised are of different samples")
        if (self.classes is None) == (self.normalised.targets is None):
            raise Conflict("classes", "classes and normalised.targets are of different tasks")
        return self
