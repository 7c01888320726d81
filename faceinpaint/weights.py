"""Tensors on disk: safetensors beside a JSON file that says what they are; written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceinpaint.errors import CheckpointError, ConfigError
from faceinpaint.files import read_json, replacing, sha256_of, write_json


def save(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write ``path`` (safetensors) and the JSON beside it, which holds ``about`` and the sha256 of the tensors.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     save(Path(place) / "w.safetensors", {"bias": torch.zeros(2)}, {"method": "example"})
    ...     sorted(os.listdir(place))
    ['w.json', 'w.safetensors']
    """
    with replacing(path) as new:
        try:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, new)
        except SafetensorError as error:  # what it makes of a full disk
            raise OSError(None, str(error), str(new)) from error
        beside = path.with_suffix(".json")
        write_json(beside, about | {"sha256": sha256_of(new)})
        new.chmod(beside.stat().st_mode & 0o777)  # safetensors makes files that nobody else may read


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save` wrote.

    Raises:
        CheckpointError: a file is missing or damaged, or the tensors are not those that the JSON describes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     save(Path(place) / "w.safetensors", {"bias": torch.zeros(2)}, {"method": "example"})
    ...     tensors, about = load(Path(place) / "w.safetensors")
    >>> tensors["bias"], about["method"]
    (tensor([0., 0.]), 'example')
    """
    about = read_json(path.with_suffix(".json"))
    if not path.is_file():
        raise CheckpointError("there is no such file", "Check the path, or train first", path)
    try:
        if sha256_of(path) != about.get("sha256"):
            raise CheckpointError(
                "its sha256 is not the one in the JSON file beside it", "Copy both files again, or train again", path
            )
        return load_file(path), about
    except (SafetensorError, OSError) as error:
        problem = f"it cannot be read as safetensors ({error})"
        raise CheckpointError(problem, "Copy it again, or train again", path) from None


def trained_file(place: str | Path) -> Path:
    """Where trained weights lie: ``generator.safetensors`` if a run's folder is named, a file as it is.

    >>> trained_file("runs/ours/generator.safetensors").name
    'generator.safetensors'
    """
    place = Path(place)
    return place / "generator.safetensors" if place.is_dir() else place


def check_out(out: Path, run: str | Path | None = None) -> None:
    """Refuse, before minutes of work, a file that cannot be written after it, or that belongs to the run itself.

    Raises:
        ConfigError: it cannot be written, or it does.

    >>> check_out(Path("record.json"))
    >>> check_out(Path("/"))
    Traceback (most recent call last):
    faceinpaint.errors.ConfigError: /: it is there and is not a plain file. Name another file.
    """
    if out.exists() and not out.is_file():
        raise ConfigError("it is there and is not a plain file", "Name another file", out)
    if run is not None:
        own = trained_file(run)
        if out.resolve() in (own.resolve(), own.with_suffix(".json").resolve()):
            raise ConfigError("the result would replace the weights that it is made from", "Name another file", out)
    there = next(folder for folder in out.absolute().parents if folder.exists())
    if not os.access(there, os.W_OK):
        raise ConfigError("nothing may be written there", "Mend its permissions, or name another folder", there)


def fill(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load tensors into a module.

    Raises:
        CheckpointError: a name or shape does not fit: the weights of another method, width or option.

    >>> layer = nn.Linear(1, 1)
    >>> fill(layer, {"weight": torch.ones(1, 1), "bias": torch.zeros(1)}, Path("example"))
    >>> layer.weight.item()
    1.0
    """
    own = module.state_dict()
    wrong = sorted(own.keys() ^ tensors.keys()) or sorted(k for k in own if own[k].shape != tensors[k].shape)
    if wrong:
        raise CheckpointError(
            f"its tensors do not fit {type(module).__name__} (for one, {wrong[0]})",
            "Use weights of the same method, width and options",
            path,
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
