"""What the convolutional models here are made of."""

from torch import Tensor, nn


def convolution(inputs: int, outputs: int, *, stride: int = 1, size: int = 3) -> nn.Sequential:
    """A convolution that keeps the image's size (or divides it by `stride`), and BatchNorm, which makes a bias idle."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


def thinned_out(x: Tensor, stride: int) -> Tensor:
    """Every `stride`-th row and column of [B, C, H, W]: what a 1x1 convolution with that stride looks at.

    torch 2.14's own such convolution, of few channels in channels_last, spoils memory on a CPU with several threads.
    """
    return x if stride == 1 else x[:, :, ::stride, ::stride]
