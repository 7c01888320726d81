"""Chapters with live widgets, run again and again: papermill alone now and then waits for ever for one of them."""

from __future__ import annotations

import time
from itertools import cycle, islice
from pathlib import Path

import chapters
import nbformat
import pytest
from records import leave

RUNS = 30

PAGES = ("masks", "region_normalisation", "regions")
"""The two that were seen to hang, 3 times in 26 runs, and one more; all of them short."""

TIMEOUT = 240
"""Seconds that a cell may take: many times what the longest takes, since a machine may be busy."""


@pytest.mark.soak
def test_no_live_chapter_of_thirty_hangs(tmp_path: Path) -> None:
    began = time.monotonic()
    seconds: dict[str, list[float]] = {page: [] for page in PAGES}
    for number, page in enumerate(islice(cycle(PAGES), RUNS)):
        out, start = tmp_path / f"{number}.ipynb", time.monotonic()
        source = chapters.ROOT / "book" / f"{page}.md"
        assert chapters.run(source, out, str(number), {"LIVE": "True"}, 1, TIMEOUT)
        seconds[page].append(round(time.monotonic() - start, 1))
        models = nbformat.read(out, as_version=4).metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
        sliders = sum("Slider" in model["model_name"] for model in models.values())
        assert sliders, f"{page} was not live"
    leave("live", {"runs": RUNS, "hung": 0, "timeout": TIMEOUT, "seconds_each": seconds}, 0, began)
