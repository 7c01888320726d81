"""Tensors on disk: safetensors beside a JSON file that says what they are; written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceinpaint.errors import CheckpointError, DataError, refusal

try:
    import fcntl
except ImportError:  # Windows: two runs in one folder are not noticed there
    fcntl = None  # type: ignore[assignment]


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder and keep it for one run at a time.

    The lock is the system's and ends with the process, however that ends; the empty file ``.lock`` may stay.

    Raises:
        DataError: another run holds the folder, or the system refuses to write (no room, no permission).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    remedy = "Wait for it or stop it, or name another folder"
                    raise DataError("another run is writing there", remedy, folder) from None
            yield
    except OSError as error:
        raise refusal(error, folder) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write a file under, renamed to ``path`` when all is written: a reader sees the old file or
    the new one. What a failure leaves is removed.

    Raises:
        DataError: what is there is no file that may be replaced: a folder, a device, a pipe.
    """
    if path.exists() and not path.is_file():
        raise DataError("it is there and is not a plain file", "Name another file", path)
    new = path.with_name(f".{path.name}.new")
    try:
        yield new
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, UTF-8 with plain newlines."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON the same way, readable by eye, one trailing newline."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError("there is no such file", "Check the path, or train first", path) from None
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"it cannot be read ({error})", "Restore the file or train again", path) from None
    if not isinstance(content, dict):
        raise CheckpointError("it does not hold a JSON object", "Restore the file or train again", path)
    return content


def save(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write ``path`` (safetensors) and the JSON beside it, which holds ``about`` and the sha256 of the tensors."""
    with replacing(path) as new:
        try:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, new)
        except SafetensorError as error:  # what it makes of a full disk
            raise OSError(None, str(error), str(new)) from error
        beside = path.with_suffix(".json")
        write_json(beside, about | {"sha256": _sha256(new)})
        new.chmod(beside.stat().st_mode & 0o777)  # safetensors makes files that nobody else may read


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save` wrote.

    Raises:
        CheckpointError: a file is missing or damaged, or the tensors are not those that the JSON describes.
    """
    about = read_json(path.with_suffix(".json"))
    if not path.is_file():
        raise CheckpointError("there is no such file", "Check the path, or train first", path)
    try:
        if _sha256(path) != about.get("sha256"):
            raise CheckpointError(
                "its sha256 is not the one in the JSON file beside it", "Copy both files again, or train again", path
            )
        return load_file(path), about
    except (SafetensorError, OSError) as error:
        problem = f"it cannot be read as safetensors ({error})"
        raise CheckpointError(problem, "Copy it again, or train again", path) from None


def trained_file(place: str | Path) -> Path:
    """Where trained weights lie: ``generator.safetensors`` if a run's folder is named, a file as it is."""
    place = Path(place)
    return place / "generator.safetensors" if place.is_dir() else place


def fill(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load tensors into a module.

    Raises:
        CheckpointError: a name or shape does not fit: the weights of another method, width or option.
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
