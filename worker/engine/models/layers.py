"""The block every convolutional model here is made of."""

from torch import nn


def convolution(inputs: int, outputs: int, *, stride: int = 1, size: int = 3) -> nn.Sequential:
    """A convolution that keeps the image's size (or divides it by `stride`), and BatchNorm, which makes a bias idle."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )
