"""A download that breaks off is gone on with; the file is checked before it is opened."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from faceinpaint import backbones
from faceinpaint.backbones import NETWORKS, download, load_backbone
from faceinpaint.errors import WeightsError


class Server:
    """Serves one file on this machine; breaks off when told to."""

    def __init__(self, content: bytes) -> None:
        self.content, self.stop_after, self.ranges, self.asked = content, len(content), True, []
        self.missing = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                outer.asked.append(asked)
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and outer.ranges else 0
                if outer.missing:
                    self.send_error(404)
                    return
                if start >= len(outer.content):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(outer.content) - start))
                self.end_headers()
                self.wfile.write(outer.content[start : outer.stop_after])

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        digits = hashlib.sha256(self.content).hexdigest()[:8]
        return f"http://127.0.0.1:{self.http.server_port}/alexnet-owt-{digits}.pth"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    network = load_backbone("alexnet", "seed", seed=3)
    torch.save({f"features.{k}": v for k, v in network.features.state_dict().items()}, tmp_path / "alexnet.pth")
    served = Server((tmp_path / "alexnet.pth").read_bytes())
    monkeypatch.setattr(NETWORKS["alexnet"], "url", served.url)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield served
    served.http.shutdown()
    served.http.server_close()


def files(folder: Path) -> list[Path]:
    """What lies in a folder, but the lock."""
    return [path for path in folder.iterdir() if path.name != ".lock"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_broke_off_is_gone_on_with(server: Server, tmp_path: Path, ranges: bool) -> None:
    folder = tmp_path / "weights"
    server.stop_after = 1_500_000
    with pytest.raises(WeightsError, match="connection ended after 1,500,000") as caught:
        download("alexnet", folder)
    assert "Try again" in caught.value.remedy
    (left,) = folder.glob("*.partial")
    assert left.stat().st_size == 1_500_000
    server.stop_after, server.ranges = len(server.content), ranges
    kept = download("alexnet", folder)
    assert server.asked == [None, "bytes=1500000-"]
    assert files(folder) == [kept]
    image = torch.rand(1, 3, 64, 64)
    expected = load_backbone("alexnet", "seed", seed=3)(image)["relu5"]
    assert torch.equal(load_backbone("alexnet", kept)(image)["relu5"], expected)


def test_a_download_that_was_complete_is_used(server: Server, tmp_path: Path) -> None:
    name = server.url.rpartition("/")[2]
    (tmp_path / f".{name}.partial").write_bytes(server.content)
    assert download("alexnet", tmp_path).exists()


def test_a_download_of_another_content_is_thrown_away(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    server.content = server.content[:-1] + b"x"
    with pytest.raises(WeightsError, match="invalid hash value"):
        download("alexnet", folder)
    assert files(folder) == []


def test_a_file_that_is_not_there_is_said(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.missing = True
    with pytest.raises(WeightsError, match="404"):
        download("alexnet", tmp_path / "weights")
    assert files(tmp_path / "weights") == []


def test_of_several_processes_one_fetches(server: Server, tmp_path: Path) -> None:
    """Five ask for the file, the first of them held back until all have come; none spoils what another fetched."""
    folder, fetch, made, begun = tmp_path / "weights", backbones.fetch, [], []
    here = threading.Event()

    def slow(url: str, path: Path) -> None:
        begun.append(path)
        here.wait(10)
        fetch(url, path)

    def ask() -> None:
        made.append(download("alexnet", folder))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "fetch", slow)
        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        here.set()
        for thread in threads:
            thread.join(60)
    assert len(begun) == 1
    assert server.asked == [None]
    assert made == [folder / "alexnet_torchvision.safetensors"] * 5
    assert files(folder) == made[:1]
    assert load_backbone("alexnet", made[0]).trained


def test_asked_for_again_a_file_is_fetched_again(server: Server, tmp_path: Path) -> None:
    kept = download("alexnet", tmp_path / "weights")
    kept.write_bytes(b"damaged")
    assert load_backbone("alexnet", download("alexnet", tmp_path / "weights")).trained


@pytest.mark.parametrize("error", [SafetensorError("no space left on device"), OSError(28, "No space left on device")])
def test_a_full_disk_is_said(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(backbones, "save_file", full)
    with pytest.raises(WeightsError, match=r"cannot be written.*(?i:no space left)") as caught:
        download("alexnet", tmp_path / "weights")
    assert caught.value.path == tmp_path / "weights"
    assert files(tmp_path / "weights") == []
