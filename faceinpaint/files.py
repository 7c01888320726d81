"""Files written whole or not at all, folders kept for one run at a time, JSON, and checksums."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place, claimed(Path(place) / "run"):
    ...     sorted(os.listdir(place))
    ['run']
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

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with replacing(Path(place) / "a.txt") as new:
    ...         there = new.write_text("whole"), os.listdir(place)
    ...     there, os.listdir(place)
    ((5, ['.a.txt.new']), ['a.txt'])
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
    """Write a text file whole or not at all, UTF-8 with plain newlines.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_text(Path(place) / "a.txt", "two\\nlines")
    ...     (Path(place) / "a.txt").read_bytes()
    b'two\\nlines'
    """
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON the same way, readable by eye, one trailing newline.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_json(Path(place) / "a.json", {"psnr": 28.1})
    ...     (Path(place) / "a.json").read_text().split()
    ['{', '"psnr":', '28.1', '}']
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: the file is missing or is not a JSON object.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_json(Path(place) / "a.json", {"psnr": 28.1})
    ...     read_json(Path(place) / "a.json")
    {'psnr': 28.1}
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


def sha256_of(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes.

    >>> sha256_of(os.devnull)[:12]
    'e3b0c44298fc'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
