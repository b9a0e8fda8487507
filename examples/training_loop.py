"""Train a small network on scikit-learn's digits with any variant: `python examples/training_loop.py [VARIANT]`."""

import functools
import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

import sam


def main(variant: str = "sam", epochs: int = 20) -> float:
    """Train; print and return the accuracy on 360 digits that were not trained on."""
    torch.manual_seed(0)
    images, labels = map(torch.tensor, load_digits(return_X_y=True))
    (x_test, x), (y_test, y) = ((images.float() / 16).split([360, 1437]), labels.split([360, 1437]))
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    cross_entropy = functools.partial(nn.functional.cross_entropy, reduction="none")

    def batch(chosen: torch.Tensor) -> sam.Batch:
        return sam.Minibatch(model, x[chosen], y[chosen], cross_entropy)

    optimizer = sam.build(variant, model.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9, model=model)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    optimizer.plan(steps=epochs * 23, steps_per_epoch=23, class_counts=y.bincount().tolist())
    for epoch in range(epochs):
        losses = [optimizer.step_on(batch(part)) for part in torch.randperm(len(x)).split(64)]
        scheduler.step()
        print(f"epoch {epoch + 1}: loss {torch.stack(losses).mean():.4f}")

    model.eval()
    accuracy = (model(x_test).argmax(1) == y_test).double().mean().item()
    print(f"{variant}: test accuracy {100 * accuracy:.1f} %")
    return accuracy


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sam")
