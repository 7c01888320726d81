"""Run one reproduction undisturbed, then kill others at random moments until they end; compare (for test_kill.py)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from rich.console import Console

from faceinpaint.comparison.reproduce import ROWS, reproduce
from faceinpaint.data.sources import Sources
from faceinpaint.presets import preset

folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
rng = random.Random(seed)
TINY = preset(
    "smoke",
    size=32,
    images=24,
    batch=2,
    width=4,
    style_width=4,
    critic_width=4,
    baseline_scale=0.06,
    parser_width=4,
    checkpoint_every=4,
    sample_every=12,
    pairs_per_bin=1,
)
KEYS = ("mean-fill", "context-encoder", "facial-style", "facial-style-membrane-guessed")
ROWS_HERE = [row for row in ROWS if row.key in KEYS]


def work(out):
    reproduce(
        TINY,
        out,
        sources=Sources(folder / "faces", folder / "holes", weights="seed"),
        rows=ROWS_HERE,
        console=Console(file=io.StringIO()),
    )


def phase(out):
    # A cache is complete when it has its final name.
    if len(list((out / "cache").glob("*/meta.json"))) < 4:
        return "preparing"
    if len(list(out.glob("runs/*/generator.safetensors"))) < 3:
        return "training"
    if len(list(out.glob("records/*.json"))) < len(KEYS) + 1:
        return "evaluating"
    return "tabulating"


def attempt(out, delay):
    # Forked, because importing takes longer than the work. Returns the exit status.
    child = os.fork()
    if child == 0:
        for stream in (1, 2):
            os.dup2(os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        code = 1
        try:
            work(out)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    end = time.monotonic() + delay
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def timeless(x):
    if isinstance(x, dict):
        return {
            k: timeless(v)
            for k, v in x.items()
            if k not in ("seconds", "date", "commit") and not (k == "sha256" and "config" in x)
        }
    return [timeless(v) for v in x] if isinstance(x, list) else x


def result(out):
    found = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_dir() or "tensorboard" in name or "checkpoints" in name or path.name == ".lock":
            continue
        data = path.read_bytes()
        if path.suffix == ".json":
            data = json.dumps(timeless(json.loads(data)), sort_keys=True).encode()
        if path.name.startswith("table."):
            continue  # minutes of training
        found[name] = hashlib.sha256(data).hexdigest()
    return found


began = time.monotonic()
whole = folder / "whole"
assert attempt(whole, 3600) == 0, (folder / "log").read_text()
seconds = time.monotonic() - began
wanted = result(whole)
counts, finished, trial = {}, 0, 0
while sum(counts.values()) < kills:
    out = folder / f"killed-{trial}"
    trial += 1
    while True:
        # At first anywhere in the whole run, then soon after the start, so that every part is met often.
        delay = rng.uniform(0, seconds * rng.choice((0.05, 0.2, 1.0))) if sum(counts.values()) < kills else 3600
        status = attempt(out, delay)
        if status == 0:
            break
        assert status == -signal.SIGKILL, (status, (folder / "log").read_text()[-3000:])
        now = phase(out)
        counts[now] = counts.get(now, 0) + 1
    finished += 1
    found = result(out)
    assert found == wanted, {
        n: (found.get(n), wanted.get(n)) for n in found.keys() | wanted.keys() if found.get(n) != wanted.get(n)
    }
print(
    json.dumps(
        {
            "kills": sum(counts.values()),
            "while": counts,
            "finished": finished,
            "files_compared": len(wanted),
            "undisturbed_seconds": round(seconds, 1),
        }
    )
)
