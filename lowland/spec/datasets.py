"""The datasets a job can name, with the options they share. The union below is the registry.

_Dataset          validation_fraction, limit
  ├ linear, diabetes                                regression
  └ _Labelled     label_noise, imbalance
      ├ breast-cancer                               classification
      ├ table                                       either
      └ _Images   augment
          └ digits, mnist, ..., folder              classification

A dataset is one entry here and one file in `worker.engine.data`; what suits it (model, epochs, learning rate) stands in
`recipes.py`.
"""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lowland.spec.base import LARGEST, Conflict, SpecModel, shorthand
from lowland.spec.show import shown

Task = Literal["classification", "regression"]

Augment = Literal["none", "shift", "flip", "crop-flip", "cutout"]
"""How training images are varied: shifts by up to 2 pixels, left-right flips, reflected shifts by up to 4 with flips,
or the latter with an 8x8 square cut out."""

#: The most numbers that `linear` draws for its training part: they are held in memory, 4 bytes each.
MOST_DRAWN: Final = 100_000_000


class Imbalance(SpecModel):
    """Thin out the training classes, most for the last one."""

    kind: Literal["exponential", "step"] = "exponential"
    """How class sizes fall: by a constant factor from class to class, or at once for the second half of the classes."""
    factor: float = Field(default=100.0, ge=1, le=LARGEST)
    """Size of the largest class over that of the smallest. 1 takes nothing away."""


def _stays_inside(path: str) -> str:
    problem = (
        "is empty" if not path.strip("/ ")
        else "is absolute" if path.startswith("/")
        else "has a .. in it" if ".." in path.split("/")
        else "has a backslash in it" if "\\" in path
        else "has a control character in it" if any(character < " " or character == "\x7f" for character in path)
        else None
    )  # fmt: skip
    if problem:
        raise ValueError(f'{shown(path)} {problem}; give a path below LOWLAND_DATA_DIR, such as "flowers" or "a/b.csv"')
    return path


DataPath = Annotated[str, Field(max_length=1000), AfterValidator(_stays_inside)]
"""Where people's own data lie: relative, with `/`, below the workers' LOWLAND_DATA_DIR."""


class _Dataset(SpecModel):
    has_images: ClassVar[bool] = False
    validation_fraction: float = Field(default=0.1, ge=0, le=0.5)
    """Fraction of the training set held out to choose weights by (stratified, seeded), where the set has no validation
    part of its own. 0 chooses the last weights."""
    limit: int | None = Field(default=None, ge=1)
    """Training samples to use at most (stratified, seeded), before the validation part is split off; null is all."""


class _Labelled(_Dataset):
    label_noise: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the training labels replaced by another class, drawn uniformly (seeded)."""
    imbalance: Imbalance | None = None
    """Thin out the training classes; null leaves them as they are."""


class _Images(_Labelled):
    task: ClassVar[Task] = "classification"
    has_images: ClassVar[bool] = True
    augment: Augment = "none"
    """How training images are varied; each dataset has its own default."""


class Digits(_Images):
    """1,797 real handwritten digits, 8x8 grey, 10 classes; comes with scikit-learn. Test: a fixed stratified 20 %."""

    name: Literal["digits"] = "digits"


class Mnist(_Images):
    """MNIST: 70,000 handwritten digits, 28x28 grey, 10 classes."""

    name: Literal["mnist"] = "mnist"


class Kmnist(_Images):
    """Kuzushiji-MNIST: 70,000 handwritten Japanese characters, 28x28 grey, 10 classes."""

    name: Literal["kmnist"] = "kmnist"


class FashionMnist(_Images):
    """Fashion-MNIST: 70,000 pictures of clothes, 28x28 grey, 10 classes."""

    name: Literal["fashion-mnist"] = "fashion-mnist"


class Cifar10(_Images):
    """CIFAR-10: 60,000 photographs, 32x32 colour, 10 classes."""

    name: Literal["cifar10"] = "cifar10"


class Cifar100(_Images):
    """CIFAR-100: 60,000 photographs, 32x32 colour, 100 classes."""

    name: Literal["cifar100"] = "cifar100"


class Svhn(_Images):
    """SVHN: 99,289 house numbers' digits, 32x32 colour, 10 classes; without the extra training images."""

    name: Literal["svhn"] = "svhn"


class LinearData(_Dataset):
    """Regression made up from a seed: y = Xw + b + noise, with X, w and b drawn from the standard normal distribution.

    `samples` counts the training set; the test part is drawn beside it from the same w and b, a quarter as many.
    """

    name: Literal["linear"] = "linear"
    task: ClassVar[Task] = "regression"
    variables: int = Field(default=10, ge=1, le=10_000)
    """Features; the length of w."""
    samples: int = Field(default=100, ge=2, le=10_000_000)
    """Training samples, of which a validation part is split off; samples // 4 more, at least one, are the test part."""
    noise: float = Field(default=0.1, ge=0, le=1e6)
    """Standard deviation of what is added to each y. 0 can be fitted exactly."""
    data_seed: int = Field(default=0, ge=0, lt=2**53)
    """Decides X, w, b and the noise; the job's own seed leaves them as they are."""

    @model_validator(mode="after")
    def _fits_in_memory(self) -> Self:
        if self.variables * self.samples > MOST_DRAWN:
            raise Conflict(
                "samples",
                f"variables is {self.variables} and samples is {self.samples}; "
                f"give two whose product is at most {MOST_DRAWN}",
            )
        return self


class Diabetes(_Dataset):
    """Regression: diabetes a year on, of 442 patients by 10 measurements (Efron et al., 2004); comes with scikit-learn.

    Test: a fixed random 20 %.
    """

    name: Literal["diabetes"] = "diabetes"
    task: ClassVar[Task] = "regression"


class BreastCancer(_Labelled):
    """569 tumours by 30 measurements, malignant or benign (Wolberg et al., 1995); comes with scikit-learn.

    Test: a fixed stratified 20 %.
    """

    name: Literal["breast-cancer"] = "breast-cancer"
    task: ClassVar[Task] = "classification"


class Folder(_Images):
    """Your own images, one folder for each class; the folders' names, sorted, are the classes.

    They lie in `path`, or in the folders train, validation (or val) and test in it, of which only train must be there.
    Without validation, `validation_fraction` of the training images is split off; without test, a fixed stratified
    20 % of them is the test part. Every file in a class folder must be an image with 8 bits a channel: PNG, JPEG, WebP,
    BMP, GIF (its first frame), TIFF or PPM. Files beside the class folders, and names that begin with a dot, are passed
    over.
    """

    name: Literal["folder"] = "folder"
    path: DataPath
    """The folder, relative to LOWLAND_DATA_DIR."""
    size: int | None = Field(default=None, ge=1, le=4096)
    """Scale the shorter side to so many pixels and cut a square out of the middle; null takes images as they are,
    which must then all have one size."""
    channels: Literal[1, 3] = 3
    """1 reads the images in grey, 3 in colour."""


class Table(_Labelled):
    """Your own table: a CSV file with a header line, or a Parquet file (.csv or .parquet).

    Numbers are features as they are, false and true are 0 and 1, and a column of strings becomes one feature for each
    value it has (one-hot). No value may be missing. Test: a fixed 20 %, stratified where there are classes.
    """

    name: Literal["table"] = "table"
    path: DataPath
    """The file, relative to LOWLAND_DATA_DIR."""
    target: str = Field(min_length=1, max_length=1000)
    """The column to predict."""
    task: Task = "classification"
    """What it holds: classes (strings, integers or booleans; sorted), or numbers to come close to."""
    ignore: list[Annotated[str, Field(max_length=1000)]] = Field(default=[], max_length=10_000)
    """Columns that are not used."""

    @model_validator(mode="after")
    def _target_is_used(self) -> Self:
        if self.target in self.ignore:
            raise Conflict("ignore", f"target is {shown(self.target)} and ignore names it too; leave it out of ignore")
        return self

    @model_validator(mode="after")
    def _classes_to_change(self) -> Self:
        if self.task == "regression" and self.label_noise != 0:
            raise Conflict(
                "label_noise",
                f'task is "regression" and label_noise is {self.label_noise:g}; it changes classes: give 0, or '
                'task = "classification"',
            )
        if self.task == "regression" and self.imbalance is not None:
            raise Conflict(
                "imbalance",
                'task is "regression" and imbalance is given; it thins out classes: give null, or '
                'task = "classification"',
            )
        return self


ALIASES: Final = {
    "fashionmnist": "fashion-mnist",
    "fmnist": "fashion-mnist",
    "cifar-10": "cifar10",
    "cifar-100": "cifar100",
    "breastcancer": "breast-cancer",
}

DatasetSpec = Annotated[
    Digits
    | Mnist
    | Kmnist
    | FashionMnist
    | Cifar10
    | Cifar100
    | Svhn
    | LinearData
    | Diabetes
    | BreastCancer
    | Folder
    | Table,
    Field(discriminator="name"),
    BeforeValidator(shorthand("name", ALIASES)),
]


def task_of(dataset: DatasetSpec) -> Task:
    """What is learnt from a dataset, known without reading it."""
    return dataset.task


def augment_of(dataset: DatasetSpec) -> Augment:
    """How its training samples are varied: only images are."""
    return dataset.augment if isinstance(dataset, _Images) else "none"
