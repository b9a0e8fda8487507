"""Versions of the job spec: which are read, and how the one before becomes the newest.

A spec of another version is one that an older worker would refuse or misread. The API is upgraded first: jobs of the
new version wait for workers that read it, and those that were queued before run on old and new ones.
"""

from collections.abc import Mapping
from typing import Final

#: Of the spec that `JobSpec` describes.
VERSION: Final = 2
#: Those that can be read.
READ: Final = (VERSION - 1, VERSION)


def upgraded(given: Mapping[str, object]) -> Mapping[str, object]:
    """A spec of the version before as one of the newest; any other as it is.

    1 had neither `resources.gpu_memory_gb` nor `resources.labels`, and no `version`.
    """
    version = given.get("version")
    return {**given, "version": VERSION} if type(version) is int and version == VERSION - 1 else given
