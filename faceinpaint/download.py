"""Files from the net, gone on with where they broke off."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from faceinpaint.progress import Bar

BROKEN = OSError, HTTPException
"""What :func:`fetch` raises where there is no connection, or it breaks."""


def fetch(url: str, path: Path) -> None:
    """Fetch a file; what an earlier attempt left in ``path`` is gone on with, if the server can.

    Raises:
        OSError, HTTPException: no connection, or it broke; what came so far stays.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     there = Path(place) / "there"
    ...     _ = there.write_text("weights")
    ...     fetch(there.as_uri(), Path(place) / "here")
    ...     (Path(place) / "here").read_text()
    'weights'
    """
    done = path.stat().st_size if path.exists() else 0
    request = Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urlopen(request, timeout=60)
    except HTTPError as error:
        if error.code == 416:  # all of it is there already
            return
        raise
    with answer, Bar() as bar:
        done = done if answer.status == 206 else 0
        total = done + int(answer.headers.get("Content-Length", 0))
        advance = bar.work(url.rpartition("/")[2], max(1, total // 1000), "kB")
        advance(done // 1000, "")
        with path.open("ab" if done else "wb") as file:
            while part := answer.read(1 << 20):
                before = file.tell()
                file.write(part)
                advance(file.tell() // 1000 - before // 1000, "")
            done = file.tell()
    if done < total:
        raise OSError(f"the connection ended after {done:,} of {total:,} bytes")
