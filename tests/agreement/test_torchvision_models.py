"""The contract knows no torch: its list of torchvision's models is held to torchvision's own."""

import re
from typing import get_args

import pytest
import torchvision.models
from torch.hub import HASH_REGEX

from lowland.networks.torchvision_models import published_side, published_weights
from lowland.spec.models import PUBLISHED_WIDTH, Architecture, Torchvision
from worker.engine.weights.published import sha256_prefix

ARCHITECTURES = get_args(Architecture)


def test_the_contract_names_torchvision_s_classification_models() -> None:
    assert list(ARCHITECTURES) == torchvision.models.list_models(module=torchvision.models)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_model_has_published_weights_in_a_file_with_a_checksum_for_a_size_that_can_be_asked_for(arch: str) -> None:
    file = published_weights(arch).url.rpartition("/")[2]
    found = HASH_REGEX.search(file)

    assert found is not None
    assert sha256_prefix(file) == found[1]
    assert re.fullmatch("[0-9a-f]{8,}", found[1])
    assert Torchvision(arch=arch, resize=published_side(arch)).resize  # pyright: ignore[reportArgumentType]


def test_the_published_resnet18_is_as_wide_as_the_contract_says() -> None:
    assert torchvision.models.resnet18().conv1.out_channels == PUBLISHED_WIDTH
