"""What options may say, in one place: their words as types, and the one judgement of a value.

Presets, methods and networks judge by this, whoever calls them: the command line, a chapter or a program.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Literal, get_args

from faceinpaint.errors import ConfigError

Start = Literal["blank", "mean", "membrane", "smaller"]
Reading = Literal["R1", "R2", "R3"]
Heads = Literal["separate", "shared"]
Network = Literal["vgg19", "squeezenet1_1"]
Precision = Literal["32-true", "bf16-mixed"]
Data = Literal["device", "host"]
Pooling = Literal["all", "valid"]
Other = Literal["pass", "zero", "own"]
Norm = Literal["region", "instance", "none"]
Statistics = Literal["whole", "valid"]
Fusion = Literal["learned", "fixed", "local", "global"]
StyleUps = Literal[2, 3]
Gan = Literal["ragan", "hinge", "bce"]
Judge = Literal["raw", "composite"]
Pixels = Literal["all", "hole"]
Like = Literal["none", "half"]
CriticSees = Literal["picture", "hole-and-map"]

WORDS: dict[str, tuple[Any, ...]] = {
    "start": get_args(Start), "reading": get_args(Reading), "heads": get_args(Heads), "backbone": get_args(Network),
    "precision": get_args(Precision), "pooling": get_args(Pooling), "other": get_args(Other), "norm": get_args(Norm),
    "statistics": get_args(Statistics), "fusion": get_args(Fusion), "style_ups": get_args(StyleUps),
    "gan": get_args(Gan), "judge": get_args(Judge), "l1": get_args(Pixels),
    "like": get_args(Like), "data": get_args(Data), "critic_sees": get_args(CriticSees),
}  # fmt: skip
"""What options that are words (or one of few numbers) may say, by their name."""


def read_settings(texts: Iterable[str] | None) -> dict[str, Any]:
    """Settings as a command line has them, NAME=VALUE: values as JSON reads them, or text.

    Raises:
        ConfigError: one is not of that form.

    >>> read_settings(["batch=8", "start=mean"])
    {'batch': 8, 'start': 'mean'}
    """
    found: dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {text!r} is not NAME=VALUE", "Write, for example, --set batch=8")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def judged(what: str, name: str, value: Any, like: Any) -> Any:
    """A value as the option wants it: of the type of another, whole numbers taken for others, and one of its words.

    Args:
        what: the option is called so in messages, before its name.
        name: of the option.
        value: as a user gives it.
        like: a value that the option may have, such as its default; None for a whole number or None.

    Raises:
        ConfigError: it is of another type, or not one of :data:`WORDS`.

    >>> judged("setting", "lr", 1, like=0.5), judged("setting", "start", "mean", like="blank")
    (1.0, 'mean')
    >>> judged("setting", "start", "middle", like="blank")
    Traceback (most recent call last):
    faceinpaint.errors.ConfigError: setting start is 'middle'. Use one of blank, mean, membrane, smaller.
    """
    kind = int if like is None else type(like)
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < 2**1023 else math.inf
    if type(value) is not kind and (value is not None or like is not None):
        raise ConfigError(f"{what} {name} is {value!r}", f"Give it a value of type {kind.__name__}")
    check_word(what, name, value)
    return value


def check_word(what: str, name: str, value: Any) -> None:
    """Refuse a word that an option cannot say.

    Raises:
        ConfigError: it cannot.

    >>> check_word("setting", "start", "mean")
    """
    if value not in WORDS.get(name, (value,)):
        raise ConfigError(f"{what} {name} is {value!r}", f"Use one of {', '.join(map(str, WORDS[name]))}")
