"""The models a job can name. The union below is the registry; sample shape and classes come from the dataset.

A model is one entry here and one file in `lowland.networks`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self, cast

from pydantic import BeforeValidator, Field, model_validator

from lowland.spec.base import Conflict, SpecModel, shorthand

#: torchvision's classification models, by its own names.
Architecture = Literal[
    "alexnet", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny", "densenet121", "densenet161",
    "densenet169", "densenet201", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
    "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_l",
    "efficientnet_v2_m", "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5", "mnasnet0_75",
    "mnasnet1_0", "mnasnet1_3", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "regnet_x_16gf",
    "regnet_x_1_6gf", "regnet_x_32gf", "regnet_x_3_2gf", "regnet_x_400mf", "regnet_x_800mf", "regnet_x_8gf",
    "regnet_y_128gf", "regnet_y_16gf", "regnet_y_1_6gf", "regnet_y_32gf", "regnet_y_3_2gf", "regnet_y_400mf",
    "regnet_y_800mf", "regnet_y_8gf", "resnet101", "resnet152", "resnet18", "resnet34", "resnet50",
    "resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5", "shufflenet_v2_x2_0", "squeezenet1_0", "squeezenet1_1", "swin_b", "swin_s", "swin_t",
    "swin_v2_b", "swin_v2_s", "swin_v2_t", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19",
    "vgg19_bn", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32", "wide_resnet101_2", "wide_resnet50_2",
]  # fmt: skip

#: The width of the ResNet-18 that torchvision has weights of.
PUBLISHED_WIDTH: Final = 64

#: A job's artifacts that another job can start from: what they are called here, and their files.
WEIGHTS_FILES: Final[Mapping[str, str]] = {"best": "model.safetensors"}

Probability = Annotated[float, Field(ge=0, lt=1)]


class InitFrom(SpecModel):
    """Another job's weights to start from. A head for another number of classes stays random."""

    job: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Id of the job."""
    artifact: Literal["best"] = "best"
    """Which of its weights: "best" are those it selected."""


class _Model(SpecModel):
    wants_images: ClassVar[bool] = True
    """Whether feature vectors do not do."""
    has_hidden_matrices: ClassVar[bool] = False
    """Whether it has weight matrices between the first layer's inputs and the head, as Muon wants them."""

    init_from: InitFrom | None = None
    """Start from the weights that another job with the same model found; null does not."""

    def options(self) -> dict[str, Any]:
        """What the model is built from: its fields without its name and without where its weights come from."""
        return self.model_dump(exclude={"name", "pretrained", "init_from"})

    @model_validator(mode="before")
    @classmethod
    def _have_published_weights(cls, given: object) -> object:
        if isinstance(given, Mapping) and "pretrained" in given and "pretrained" not in cls.model_fields:
            name = cls.model_fields["name"].default
            raise Conflict("pretrained", f"{name} has no published weights; leave pretrained out, or {_WITH_WEIGHTS}")
        return cast("object", given)


class _Published(_Model):
    pretrained: bool = False
    """Start from torchvision's ImageNet weights; the head for the dataset's classes stays random."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.pretrained and self.init_from is not None:
            raise Conflict("init_from", "pretrained is true and init_from is given; give one of them")
        return self


class Linear(_Model):
    """One linear layer: softmax regression, or linear regression. It starts at zero."""

    wants_images = False

    name: Literal["linear"] = "linear"


class Mlp(_Model):
    """Fully connected layers with ReLU."""

    wants_images = False
    has_hidden_matrices = True

    name: Literal["mlp"] = "mlp"
    width: int = Field(default=256, ge=1, le=16384)
    """Units of each hidden layer."""
    depth: int = Field(default=2, ge=1, le=64)
    """Hidden layers."""
    dropout: Probability = 0.0
    """Fraction of each hidden layer's units left out of a training step, drawn anew each time."""


class Cnn(_Model):
    """Three 3x3 convolutions with BatchNorm and pooling, then one linear layer."""

    name: Literal["cnn"] = "cnn"
    width: int = Field(default=32, ge=1, le=4096)
    """Channels of the first convolution; each further one has twice as many."""


class Resnet9(_Model):
    """The nine-layer residual network that trains small images fastest."""

    name: Literal["resnet9"] = "resnet9"
    width: int = Field(default=32, ge=1, le=4096)
    """Channels of the first convolution; the last has eight times as many."""


class Resnet18(_Published):
    """ResNet-18 (He et al., CVPR 2016) with a 3x3 stem and no first pooling, for small images."""

    name: Literal["resnet18"] = "resnet18"
    width: int = Field(default=PUBLISHED_WIDTH, ge=1, le=4096)
    """Channels of the first stage; the last has eight times as many."""

    @model_validator(mode="after")
    def _as_wide_as_published(self) -> Self:
        if self.pretrained and self.width != PUBLISHED_WIDTH:
            raise Conflict(
                "width",
                f"width is {self.width} and pretrained is true; "
                f"give width {PUBLISHED_WIDTH}, which the published weights have",
            )
        return self


class WideResnet(_Model):
    """Wide residual network for small images (Zagoruyko and Komodakis, BMVC 2016)."""

    name: Literal["wide-resnet"] = "wide-resnet"
    depth: int = Field(default=16, ge=10, le=1000)
    """Layers: 6n + 4 for n residual blocks in each of three groups; typical 16, 28 or 40."""
    widen: int = Field(default=4, ge=1, le=64)
    """Channels of each group over those of the thin network, 16, 32 and 64; typical 2 to 10."""
    dropout: Probability = 0.0
    """Fraction of the values left out between the two convolutions of a block; the paper uses 0.3."""

    @model_validator(mode="after")
    def _whole_blocks(self) -> Self:
        if beyond := (self.depth - 4) % 6:
            below = self.depth - beyond
            raise Conflict("depth", f"depth is {self.depth}, which is not 6n + 4; give {below} or {below + 6}")
        return self


class VitTiny(_Model):
    """ViT-Ti (Dosovitskiy et al., ICLR 2021; Touvron et al., ICML 2021) for small images, with mean pooling."""

    has_hidden_matrices = True

    name: Literal["vit-tiny"] = "vit-tiny"
    patch: int = Field(default=4, ge=1, le=64)
    """Side of the square patches in pixels; images are padded to whole patches."""
    width: int = Field(default=192, ge=1, le=4096)
    """Numbers per patch from layer to layer."""
    depth: int = Field(default=12, ge=1, le=64)
    """Transformer blocks."""
    heads: int = Field(default=3, ge=1, le=64)
    """Attention heads of a block; they share the width evenly."""
    dropout: Probability = 0.0
    """Fraction of the values left out behind the positions, each attention and each layer of the MLPs."""

    @model_validator(mode="after")
    def _even_heads(self) -> Self:
        if self.width % self.heads:
            raise Conflict(
                "heads", f"heads is {self.heads} and width is {self.width}; give a number of heads that divides width"
            )
        return self


class Torchvision(_Published):
    """One of torchvision's classification models; "torchvision/resnet50" stands for one."""

    has_hidden_matrices = True

    name: Literal["torchvision"] = "torchvision"
    arch: Architecture
    """torchvision's name of the model."""
    resize: int | None = Field(default=None, ge=1, le=1024)
    """Side in pixels that images are scaled to first (bilinear, square); null leaves them as they are."""


#: Says in a message what to name instead of a model that nobody has published weights of.
_WITH_WEIGHTS: Final = 'name "resnet18" or one of "torchvision/..."'

ALIASES = {
    "resnet-9": "resnet9",
    "resnet-18": "resnet18",
    "wideresnet": "wide-resnet",
    "wrn": "wide-resnet",
}

_by_name: Final = shorthand("name", ALIASES)


def _expand(value: object) -> object:
    """Let a string stand for a model, and "torchvision/<arch>" for one of torchvision's."""
    expanded = _by_name(value)
    if not isinstance(expanded, Mapping):
        return expanded
    given = cast("Mapping[str, object]", expanded)
    family, slash, arch = str(given.get("name")).partition("/")
    # beside an arch such a name would say it twice; it stays, and is refused as unknown
    if family != "torchvision" or not slash or "arch" in given:
        return given
    return {**given, "name": family, "arch": arch.replace("-", "_")}


ModelSpec = Annotated[
    Linear | Mlp | Cnn | Resnet9 | Resnet18 | WideResnet | VitTiny | Torchvision,
    Field(discriminator="name"),
    BeforeValidator(_expand),
]
