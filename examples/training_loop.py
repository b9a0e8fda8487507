"""Train a small model on scikit-learn's digits with any variant: `python examples/training_loop.py [VARIANT]`."""

import functools
import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

import sam


def main(variant: str = "sam", epochs: int = 20, batch_size: int = 64) -> float:
    """Train; print and return the accuracy on 360 digits that were not trained on."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels))
    x, y = torch.tensor(images, dtype=torch.float32)[order] / 16, torch.tensor(labels)[order]
    x_test, y_test, x, y = x[:360], y[:360], x[360:], y[360:]

    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    cross_entropy = functools.partial(nn.functional.cross_entropy, reduction="none")
    optimizer = sam.build(variant, model.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9, model=model)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)

    def batch(chosen: torch.Tensor) -> sam.Batch:
        return sam.Minibatch(model, x[chosen], y[chosen], cross_entropy)

    def samples(n: int, step: int) -> sam.Batch:
        return batch(torch.randperm(len(x), generator=torch.Generator().manual_seed(step))[:n])

    per_epoch = -(-len(x) // batch_size)
    counts = y.bincount().tolist()
    optimizer.plan(steps=epochs * per_epoch, steps_per_epoch=per_epoch, class_counts=counts, samples=samples)
    for epoch in range(epochs):
        losses = [optimizer.step_on(batch(part)) for part in torch.randperm(len(x)).split(batch_size)]
        scheduler.step()
        print(f"epoch {epoch + 1}: loss {torch.stack(losses).mean():.4f}")

    model.eval()
    with torch.no_grad():
        accuracy = (model(x_test).argmax(1) == y_test).double().mean().item()
    print(f"{variant}: test accuracy {100 * accuracy:.1f} %")
    return accuracy


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sam")
