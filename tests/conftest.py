"""What every test shares: a working torchvision, few threads, seeds, and real data when it is there."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from faceinpaint.mend import mend_torchvision

mend_torchvision()  # before any test module imports torchmetrics or clean-fid

torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, torch.get_num_threads()))

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25, database=None)
settings.load_profile("suite")


LONG = (
    "test_book", "test_train", "test_distributed", "test_facial_style", "test_methods", "test_browser", "test_export",
    "test_repair_page", "test_reproduce", "test_determinism", "test_bench",
)  # fmt: skip
"""Modules that take longest begin first, so that several workers end together; those of the built book's pages not
beside the one that builds it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long modules first."""
    names = [item.path.stem for item in items]
    place = {item: LONG.index(name) if name in LONG else len(LONG) for item, name in zip(items, names, strict=True)}
    items.sort(key=place.__getitem__)


@pytest.fixture
def seeded() -> torch.Generator:
    """Seed Python, NumPy and torch with 0 and return a torch generator seeded with 0."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real faces, holes and feature weights (environment variable FACEINPAINT_DATA), or skip."""
    folder = os.environ.get("FACEINPAINT_DATA")
    if not folder:
        pytest.skip("real data: FACEINPAINT_DATA names no folder")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"FACEINPAINT_DATA names {path}, which is not a folder")
    return path
