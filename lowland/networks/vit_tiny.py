"""vit-tiny: the vision transformer for small images.

    patches → linear, plus learned positions → blocks of attention and MLP → LayerNorm → mean over the patches → linear

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, in the size of Touvron et al., "Training data-efficient
image transformers", ICML 2021: width 192, 12 blocks, 3 heads. Differs: the patches' mean instead of a class token,
which learns as well (Beyer et al., "Better plain ViT baselines for ImageNet-1k", 2022) and is one thing less.

Shapes: B batch, N patches, W width, H heads.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lowland.networks.shape import ImageShape

#: Standard deviation of the first weights and positions, cut at two of it (Touvron et al., 2021).
INITIAL_STD: Final = 0.02
#: Units of a block's MLP over the width.
MLP_RATIO: Final = 4
#: As in the authors' code.
LAYER_NORM_EPS: Final = 1e-6


def build(
    image: ImageShape, classes: int, *, patch: int, width: int, depth: int, heads: int, dropout: float
) -> nn.Module:
    """Sides that are no multiple of `patch` are padded on both sides with zeros, the mean colour of the data."""
    model = nn.Sequential(
        _Patches(image, patch=patch, width=width, dropout=dropout),
        *(_Block(width, heads=heads, dropout=dropout) for _ in range(depth)),
        _norm(width),
        _Head(width, classes),
    )
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(layer.weight, std=INITIAL_STD, a=-2 * INITIAL_STD, b=2 * INITIAL_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model


class _Patches(nn.Module):
    """Images [B, C, height, width] to patches with their positions [B, N, W]."""

    def __init__(self, image: ImageShape, *, patch: int, width: int, dropout: float) -> None:
        super().__init__()
        missing_rows, missing_columns = -image.height % patch, -image.width % patch
        top, left = missing_rows // 2, missing_columns // 2
        self.pad = nn.ZeroPad2d((left, missing_columns - left, top, missing_rows - top))
        self.embed = nn.Conv2d(image.channels, width, patch, stride=patch)
        patches = (image.height + missing_rows) // patch * ((image.width + missing_columns) // patch)
        self.positions = nn.Parameter(torch.empty(1, patches, width))
        nn.init.trunc_normal_(self.positions, std=INITIAL_STD, a=-2 * INITIAL_STD, b=2 * INITIAL_STD)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.embed(self.pad(x)).flatten(2).transpose(1, 2)
        return self.dropout(patches + self.positions)


class _Block(nn.Module):
    """Attention and an MLP on [B, N, W], each behind a LayerNorm and with its input added."""

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.Sequential(_norm(width), _Attention(width, heads=heads), nn.Dropout(dropout))
        self.mlp = nn.Sequential(
            _norm(width),
            nn.Linear(width, MLP_RATIO * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(MLP_RATIO * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.mlp(x)


class _Attention(nn.Module):
    """Every patch looks at all."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            self.queries_keys_values(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )  # [B, H, N, W/H]
        # The fused kernels cannot be differentiated twice, as second-order SAM wants it, and some add up in no fixed
        # order. So few patches need none of them: on a CPU in bf16 they took more than twice as long.
        with sdpa_kernel(SDPBackend.MATH):
            attended = F.scaled_dot_product_attention(q, k, v)
        return self.out(attended.transpose(1, 2).flatten(2))


class _Head(nn.Module):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean(1))


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=LAYER_NORM_EPS)
