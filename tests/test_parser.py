"""The network that guesses the parsing map."""

from __future__ import annotations

import pytest
import torch

from faceinpaint.errors import DataError
from faceinpaint.models.parser import FaceParser, parse


def test_the_parser_refuses_sides_that_it_cannot_halve() -> None:
    parser = FaceParser(2).eval()
    for height, width in ((40, 40), (16, 24), (8, 8), (0, 16)):
        with pytest.raises(DataError, match=f"{height}x{width} .*halved 4 times. Use sides"):
            parse(parser, torch.zeros(1, 3, height, width), torch.zeros(1, 1, height, width))
    assert parse(parser, torch.zeros(1, 3, 16, 48), torch.zeros(1, 1, 16, 48)).shape == (1, 16, 48)
