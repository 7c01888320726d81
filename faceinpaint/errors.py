"""The library's own exceptions: each names the file, the problem and the remedy.

On the command line they end the run with one message and exit code 2, without a traceback.
"""

from __future__ import annotations

from pathlib import Path


class FaceInpaintError(Exception):
    """Something the user can mend: a bad file, setting or machine.

    Args:
        problem: what is wrong, in one sentence without a full stop.
        remedy: what to do about it, in one sentence without a full stop.
        path: the file or folder concerned, if there is one.

    >>> raise FaceInpaintError("it is empty", "Name another file", "hole.png")
    Traceback (most recent call last):
    faceinpaint.errors.FaceInpaintError: hole.png: it is empty. Name another file.
    """

    def __init__(self, problem: str, remedy: str, path: str | Path | None = None) -> None:
        self.problem = " ".join(problem.split())  # one line, whatever a library's own message looks like
        self.remedy, self.path = remedy, None if path is None else Path(path)
        where = f"{path}: " if path is not None else ""
        super().__init__(f"{where}{self.problem}. {remedy}.")

    def __reduce__(self) -> tuple[type[FaceInpaintError], tuple[str, str, Path | None]]:
        """So that one raised in a worker process reaches its parent."""
        return type(self), (self.problem, self.remedy, self.path)


class DataError(FaceInpaintError):
    """A picture, parsing map, hole mask, pair list or folder of them cannot be used.

    >>> DataError("the hole covers the whole photograph", "Leave something to go by", "hole.png").remedy
    'Leave something to go by'
    """


class ConfigError(FaceInpaintError):
    """A setting is unknown, of the wrong type or out of range.

    >>> str(ConfigError("setting batch is 0", "Use 1 or more"))
    'setting batch is 0. Use 1 or more.'
    """


class CheckpointError(FaceInpaintError):
    """A checkpoint is missing, damaged, or belongs to another method or width.

    >>> str(CheckpointError("there is no such file", "Train first", "generator.safetensors"))
    'generator.safetensors: there is no such file. Train first.'
    """


class WeightsError(FaceInpaintError):
    """The weights of a frozen feature network are missing or not the ones expected.

    >>> str(WeightsError("no weights of alexnet found", "Name a file"))
    'no weights of alexnet found. Name a file.'
    """


class TrainingError(FaceInpaintError):
    """Training cannot go on: a loss or gradient is not finite, or a worker was lost.

    >>> str(TrainingError("the loss is not finite at step 7", "Lower the learning rate"))
    'the loss is not finite at step 7. Lower the learning rate.'
    """


def refusal(error: OSError, path: str | Path | None = None) -> DataError:
    """What the operating system refuses (no room, no permission, a file gone), as an error of the library's own.

    Args:
        path: the file or folder concerned, where the system does not name one.

    >>> str(refusal(PermissionError(13, "Permission denied"), "out"))
    'out: the system refuses it (Permission denied). Make room, mend the permissions or the name.'
    """
    named = error.filename if isinstance(error.filename, str | Path) else path
    return DataError(
        f"the system refuses it ({error.strerror or error})", "Make room, mend the permissions or the name", named
    )
