"""``python -m faceinpaint`` is the same as ``faceinpaint``."""

from faceinpaint.cli import main

main()
