"""What a classifier does on a part of the data, in detail: whom it takes for whom, how well it knows, whom it serves.

    nll                mean of -ln p(y)
    brier              mean of Σ_c (p(c) - [c = y])²
    ece                Σ_m |B_m| / n · |accuracy of B_m - mean confidence of B_m|
                       B_m: samples whose confidence max_c p(c) lies in ((m - 1) / M, m / M], M = 15
    recall of c        those of class c that are taken for c / those of class c; also called c's accuracy
    precision of c     those of class c that are taken for c / those that are taken for c
    f1 of c            harmonic mean of the two
    balanced accuracy  mean recall, each class counted once however many samples it has
    groups             mean recall of the classes with many (> 100), medium (20 to 100) and few (< 20) training samples

Sources: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3, for ece; Liu et al.,
"Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019, for the groups.
Differs: the latter's code (`shot_acc`, https://github.com/zhmiao/OpenLongTailRecognition-OLTR) counts a class of
exactly 100 among the many and one of exactly 20 among the few; we follow the paper.

Letters: B samples in the batch, C classes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

BINS: Final = 15
#: Training samples above which a class has many, and below which it has few.
MANY: Final = 100
FEW: Final = 20

Group = Literal["many", "medium", "few"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The samples whose confidence is greater than `above` and at most `up_to`."""

    above: float
    up_to: float
    count: int
    confidence: float | None
    """Mean; None of an empty bin, here and below."""
    accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDetail:
    """How one class fares. Of a class without samples nothing is known."""

    samples: int
    recall: float | None
    precision: float | None
    """None also where no sample is taken for this class."""
    f1: float | None


class Detail:
    """Counts batch by batch on the device without waiting for it; whatever is read from it waits.

    Every number is finite if `nll` is: logits that are not make it nan or infinite.
    """

    def __init__(self, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._samples = 0
        self._confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)
        self._nll = torch.zeros((), dtype=torch.float64, device=device)
        self._brier = torch.zeros((), dtype=torch.float64, device=device)
        #: Of each bin the samples, the sum of their confidences, and those that are right.
        self._bins = torch.zeros((BINS, 3), dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch: logits, float32 [B, C], and true classes, int64 [B]."""
        log_p = F.log_softmax(logits, dim=1)
        p = log_p.exp().double()
        predicted = logits.argmax(1)
        self._samples += len(targets)
        self._confusion.index_add_(0, targets * self._classes + predicted, torch.ones_like(targets))
        self._nll -= _of(targets, log_p).double().sum()
        self._brier += (p.square().sum(1) - 2 * _of(targets, p) + 1).sum()
        confidence = _of(predicted, p)
        bins = (confidence * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
        counted = [torch.ones_like(confidence), confidence, (predicted == targets).double()]
        self._bins.index_add_(0, bins, torch.stack(counted, dim=1))

    @property
    def confusion(self) -> list[list[int]]:
        """How many of each true class (row) are taken for each class (column)."""
        return self._matrix().tolist()

    @property
    def accuracy(self) -> float:
        """The fraction that is right."""
        return self._mean(self._matrix().trace())

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have samples."""
        return fmean(one.recall for one in self.classes() if one.recall is not None)

    @property
    def nll(self) -> float:
        """Mean negative log-likelihood, in nats: the cross-entropy without label smoothing or weights."""
        return self._mean(self._nll)

    @property
    def brier(self) -> float:
        """Mean squared distance of the probabilities from the truth: 0 is perfect, 2 is surely wrong."""
        return self._mean(self._brier)

    @property
    def ece(self) -> float:
        """Expected calibration error: how far confidence and accuracy are apart, 0 to 1."""
        _, confidence, right = self._bins.unbind(1)
        return self._mean((right - confidence).abs().sum())

    def reliability(self) -> list[Bin]:
        """The bins that `ece` is made of, for a reliability diagram."""
        return [
            Bin(
                above=m / BINS,
                up_to=(m + 1) / BINS,
                count=int(count),
                confidence=_ratio(confidence, count),
                accuracy=_ratio(right, count),
            )
            for m, (count, confidence, right) in enumerate(self._bins.tolist())
        ]

    def classes(self) -> list[ClassDetail]:
        """Every class, in order."""
        matrix = self._matrix()
        counts = zip(matrix.sum(1).tolist(), matrix.sum(0).tolist(), matrix.diagonal().tolist(), strict=True)
        return [
            ClassDetail(
                samples=samples,
                recall=_ratio(hits, samples),
                precision=_ratio(hits, taken) if samples else None,
                f1=_ratio(2 * hits, samples + taken) if samples else None,
            )
            for samples, taken, hits in counts
        ]

    def groups(self, class_counts: Sequence[int]) -> dict[Group, float]:
        """Mean recall of the classes with many, medium and few training samples; `class_counts` has those of each.

        A group in which no class was tested is absent.
        """
        recalls: dict[Group, list[float]] = {"many": [], "medium": [], "few": []}
        for count, one in zip(class_counts, self.classes(), strict=True):
            if one.recall is not None:
                recalls[_group(count)].append(one.recall)
        return {group: fmean(of_group) for group, of_group in recalls.items() if of_group}

    def scalars(self, class_counts: Sequence[int], *, part: str) -> dict[str, float]:
        """The metrics, named after the part: test_nll, test_ece, test_balanced_accuracy, test_accuracy_few, ..."""
        return {
            f"{part}_nll": self.nll,
            f"{part}_ece": self.ece,
            f"{part}_balanced_accuracy": self.balanced_accuracy,
            **{f"{part}_accuracy_{group}": recall for group, recall in self.groups(class_counts).items()},
        }

    def report(self, class_names: Sequence[str], class_counts: Sequence[int]) -> dict[str, object]:
        """Everything, in JSON's types; the training samples of each class are in it."""
        named = zip(class_names, class_counts, self.classes(), strict=True)
        return {
            "samples": self._samples,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "nll": self.nll,
            "brier": self.brier,
            "ece": self.ece,
            "groups": self.groups(class_counts),
            "classes": [{"name": name, "training_samples": count, **asdict(one)} for name, count, one in named],
            "confusion": self.confusion,
            "reliability": [asdict(one) for one in self.reliability()],
        }

    def _matrix(self) -> Tensor:
        return self._confusion.view(self._classes, self._classes)

    def _mean(self, total: Tensor) -> float:
        if self._samples == 0:
            raise ValueError("no sample has been measured; add a batch first")
        return float(total) / self._samples


def _of(classes: Tensor, values: Tensor) -> Tensor:
    """Of each row of values [B, C] the one of its class [B]."""
    return values.gather(1, classes[:, None])[:, 0]


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _group(count: int) -> Group:
    if count > MANY:
        return "many"
    return "few" if count < FEW else "medium"
