"""Frozen feature networks: what losses and metrics look through, where its weights come from, their sha256.

VGG19 serves the perceptual and style losses, AlexNet and SqueezeNet 1.1 serve LPIPS, AlexNet also serves the
Fréchet distance FD-AlexNet. They are written out in plain torch under torchvision's parameter names, so a file
converted from torchvision fits as it is. Inception, which FID needs, is not here: its weights are published as a
TorchScript program, which :func:`faceinpaint.metrics.fid_cleanfid` runs when the user names the file.

Trained weights are safetensors files, looked for in the folder that the environment variable FACEINPAINT_WEIGHTS
names and in the folder that downloads go to. Where there are none, a network is drawn from a fixed seed. That is
said in the log and in :attr:`Backbone.provenance`, because losses and distances seen through a random network
are defined and repeatable but are not the published ones.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import ClassVar

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceinpaint.download import BROKEN, fetch
from faceinpaint.errors import ConfigError, DataError, WeightsError
from faceinpaint.files import sha256_of

try:
    import fcntl
except ImportError:  # Windows: two downloads into one folder are not kept apart there
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module, ABC):
    """A frozen feature network that starts from RGB in [-1, 1] and gives the activations asked for by name.

    Attributes:
        taps: names of the layers whose activations it can give, from shallow to deep.
        heads: weights (1, C, 1, 1) of LPIPS v0.1, one for each of these layers; empty if the weights brought none.
        provenance: where the weights come from, one line for results records.
        sha256: of the weights file, or of the drawn weights.
        trained: False if the weights were drawn from a seed.
        in_half: compute in bfloat16, as networks in training do under ``bf16-mixed``; activations are given back in
            single precision. The perceptual and the style loss then differ by less than 1%, on a CPU by up to 0.4% seen
            through drawn weights and 0.1% through trained ones. False unless a training sets it: what is measured is
            measured in full.

    >>> found = load_backbone("alexnet", "seed")(torch.zeros(1, 3, 64, 64), ["relu5"])
    >>> found["relu5"].shape
    torch.Size([1, 256, 3, 3])
    """

    in_half: bool = False
    name: ClassVar[str]
    url: ClassVar[str]
    """torchvision's own file; the digits in its name begin the sha256 of its content."""
    layer_of: ClassVar[dict[str, int]]
    """Index in ``features`` of each layer by its name."""
    smallest: ClassVar[int]
    """Least image side in pixels at which every layer still has one position."""
    heads_file: ClassVar[tuple[str, str] | None] = None
    """LPIPS v0.1 heads inside the installed torchmetrics package, and their sha256."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*self.layers())
        self.heads = nn.ParameterList()
        self.provenance, self.sha256, self.trained = "", "", False
        # From the mean and deviation of pixels in [0, 1] to those of pixels in [-1, 1].
        mean = 2 * torch.tensor(IMAGENET_MEAN, device="cpu") - 1
        std = 2 * torch.tensor(IMAGENET_STD, device="cpu")
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", std.view(1, 3, 1, 1), persistent=False)

    @staticmethod
    @abstractmethod
    def layers() -> list[nn.Module]:
        """The layers of ``features``, in torchvision's order."""

    @property
    def taps(self) -> tuple[str, ...]:
        return tuple(tap for tap, layer in self.layer_of.items() if layer < len(self.features))

    def forward(self, image: Tensor, taps: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Activations by the names of their layers; what is deeper than the deepest asked for is not computed.

        Args:
            image: RGB (B, 3, H, W) in [-1, 1]; the ImageNet normalisation happens inside.
            taps: some of :attr:`taps`, all of them by default.

        Raises:
            ConfigError: the network has no layer of that name.
            WeightsError: it has, but its weights end before it.
            DataError: the image is not RGB or too small.
        """
        wanted = self.taps if taps is None else tuple(taps)
        for tap in wanted:
            if tap not in self.layer_of:
                raise ConfigError(f"{self.name} has no layer {tap!r}", f"Use one of {', '.join(self.layer_of)}")
            if tap not in self.taps:
                raise WeightsError(
                    f"the weights of {self.name} ({self.provenance}) end at {self.taps[-1]}, before {tap}",
                    f"Use layers up to {self.taps[-1]}, or weights that go further",
                )
        if image.ndim != 4 or image.shape[1] != 3 or min(image.shape[2:]) < self.smallest:
            raise DataError(
                f"{self.name} cannot look at images of shape {tuple(image.shape)}",
                f"Give RGB images (B, 3, H, W) of at least {self.smallest} pixels a side",
            )
        tap_at = {self.layer_of[tap]: tap for tap in wanted}
        found = {}
        x = (image - self.mean) / self.std
        with torch.autocast(image.device.type, torch.bfloat16) if self.in_half else nullcontext():
            for index, layer in enumerate(self.features):
                x = layer(x)
                if index in tap_at:
                    found[tap_at[index]] = x.float() if self.in_half else x
                    if len(found) == len(tap_at):
                        break
        return {tap: found[tap] for tap in wanted}

    def record(self) -> dict[str, str | bool]:
        """What a results record says of this network."""
        return {
            "network": self.name,
            "weights": self.provenance,
            "sha256": self.sha256,
            "trained": self.trained,
        }


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU(inplace=True)]


class VGG19(Backbone):
    """VGG19 (Simonyan and Zisserman, 2015), convolutional part: layers relu1_1 to relu5_4.

    Weights that end earlier are welcome; what can be asked for ends with them.

    >>> VGG19().taps[:3]
    ('relu1_1', 'relu1_2', 'relu2_1')
    """

    name = "vgg19"
    url = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
    smallest = 16
    layer_of: ClassVar[dict[str, int]] = {
        "relu1_1": 1, "relu1_2": 3,
        "relu2_1": 6, "relu2_2": 8,
        "relu3_1": 11, "relu3_2": 13, "relu3_3": 15, "relu3_4": 17,
        "relu4_1": 20, "relu4_2": 22, "relu4_3": 24, "relu4_4": 26,
        "relu5_1": 29, "relu5_2": 31, "relu5_3": 33, "relu5_4": 35,
    }  # fmt: skip

    @staticmethod
    def layers() -> list[nn.Module]:
        layers: list[nn.Module] = []
        inputs = 3
        for width, convolutions in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
            if layers:
                layers.append(nn.MaxPool2d(2))
            for _ in range(convolutions):
                layers += _conv(inputs, width, 3, padding=1)
                inputs = width
        return layers


class AlexNet(Backbone):
    """AlexNet as torchvision has it (Krizhevsky, 2014), convolutional part: layers relu1 to relu5.

    >>> AlexNet().taps
    ('relu1', 'relu2', 'relu3', 'relu4', 'relu5')
    """

    name = "alexnet"
    url = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
    smallest = 32
    layer_of: ClassVar[dict[str, int]] = {"relu1": 1, "relu2": 4, "relu3": 7, "relu4": 9, "relu5": 11}
    heads_file = ("alex.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0")

    @staticmethod
    def layers() -> list[nn.Module]:
        return [
            *_conv(3, 64, 11, stride=4, padding=2),
            nn.MaxPool2d(3, 2),
            *_conv(64, 192, 5, padding=2),
            nn.MaxPool2d(3, 2),
            *_conv(192, 384, 3, padding=1),
            *_conv(384, 256, 3, padding=1),
            *_conv(256, 256, 3, padding=1),
        ]


class Fire(nn.Module):
    """SqueezeNet's building block: squeeze to few channels, expand by 1x1 and by 3x3, concatenate.

    >>> Fire(64, 16, 64)(torch.zeros(1, 64, 8, 8)).shape
    torch.Size([1, 128, 8, 8])
    """

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1).relu()


class SqueezeNet(Backbone):
    """SqueezeNet 1.1 (Iandola and others, 2016), convolutional part: the seven layers of LPIPS.

    >>> SqueezeNet().taps[-1]
    'fire8'
    """

    name = "squeezenet1_1"
    url = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
    smallest = 32
    layer_of: ClassVar[dict[str, int]] = {
        "relu1": 1, "fire2": 4, "fire4": 7, "fire5": 9, "fire6": 10, "fire7": 11, "fire8": 12,
    }  # fmt: skip
    heads_file = ("squeeze.pth", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76")

    @staticmethod
    def layers() -> list[nn.Module]:
        return [
            *_conv(3, 64, 3, stride=2),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(64, 16, 64),
            Fire(128, 16, 64),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(128, 32, 128),
            Fire(256, 32, 128),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(256, 48, 192),
            Fire(384, 48, 192),
            Fire(384, 64, 256),
            Fire(512, 64, 256),
        ]


NETWORKS: dict[str, type[Backbone]] = {net.name: net for net in (VGG19, AlexNet, SqueezeNet)}


def load_backbone(name: str, weights: str | Path = "auto", seed: int = 0) -> Backbone:
    """A frozen network on the CPU with the weights asked for.

    Args:
        name: ``"vgg19"``, ``"alexnet"`` or ``"squeezenet1_1"``.
        weights: a safetensors file; a folder that holds one whose name begins with ``name``; ``"auto"``: such a
            file in FACEINPAINT_WEIGHTS or among earlier downloads, else drawn from the seed; ``"download"``:
            fetched with :func:`download` unless a file is already there; ``"seed"``: drawn from the seed.
        seed: for drawn weights.

    Raises:
        ConfigError: no network has that name.
        WeightsError: the file or folder is missing, ambiguous or not of this network, or the download failed.

    >>> load_backbone("squeezenet1_1", "seed").trained
    False
    """
    network = _network(name)
    if weights == "seed":
        return _drawn(network, seed, "as asked")
    if weights not in ("auto", "download"):
        path = Path(weights)
        found = _find(name, path) if path.is_dir() else path
        if found is None or not found.is_file():
            remedy = f"Name a safetensors file with the weights of {name}, or a folder that holds {name}*.safetensors"
            raise WeightsError(f"no weights of {name} found", remedy, path)
        return _from_file(network, found)
    named = os.environ.get("FACEINPAINT_WEIGHTS")
    if named and not Path(named).is_dir():
        raise WeightsError("FACEINPAINT_WEIGHTS names no folder", "Correct it or unset it", named)
    for folder in ([Path(named)] if named else []) + [download_folder()]:
        found = _find(name, folder)
        if found is not None:
            return _from_file(network, found)
    if weights == "download":
        return _from_file(network, download(name))
    return _drawn(network, seed, "no trained weights found")


def _network(name: str) -> type[Backbone]:
    if name not in NETWORKS:
        raise ConfigError(f"there is no feature network {name!r}", f"Use one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def download_folder() -> Path:
    """Where downloads go: ``faceinpaint/weights`` in the user's cache folder.

    >>> download_folder().name
    'weights'
    """
    return user_cache_path("faceinpaint") / "weights"


def download(name: str, folder: Path | None = None) -> Path:
    """Fetch torchvision's weights of a network and keep its feature layers as a safetensors file.

    torchvision publishes pickle files. This function is the one place that reads such a file: only after its
    sha256 has matched, and only through torch's restricted loader (``weights_only=True``), which admits tensors
    and plain containers and runs no code of the file. The LPIPS heads are read in the same way from the installed
    torchmetrics package, which ships them. What is kept is safetensors.

    Of several processes that ask for it at once, one fetches; the others wait and find the file. The empty file
    ``.lock`` may stay.

    Args:
        name: as in :func:`load_backbone`.
        folder: where the file goes, :func:`download_folder` by default.

    Returns:
        The safetensors file.

    Raises:
        ConfigError: no network has that name.
        WeightsError: no connection, the file is not the published one, or the system refuses to write.

    >>> download("resnet")
    Traceback (most recent call last):
    faceinpaint.errors.ConfigError: there is no feature network 'resnet'. Use one of vgg19, alexnet, squeezenet1_1.
    """
    _network(name)
    folder = folder or download_folder()
    final = folder / f"{name}_torchvision.safetensors"
    before = _stamp(final)
    try:
        with _one_at_a_time(folder):
            if _stamp(final) in (None, before):  # else another process has fetched it meanwhile
                _download(name, folder, final)
    except (OSError, SafetensorError) as error:  # the latter is what it makes of a full disk
        remedy = f"Make room or mend the permissions, or name a safetensors file of {name} that is elsewhere"
        raise WeightsError(f"the weights of {name} cannot be written ({error})", remedy, folder) from error
    return final


def _stamp(path: Path) -> int | None:
    """When a file was written, None if there is none."""
    return path.stat().st_mtime_ns if path.exists() else None


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Make a folder and wait until no other process is at work in it; the system's lock ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(name: str, folder: Path, final: Path) -> None:
    """What :func:`download` does once it is alone in the folder."""
    net = NETWORKS[name]
    file_name = net.url.rpartition("/")[2]
    digits = re.search(r"-([0-9a-f]{8,})\.pth$", file_name)
    assert digits is not None
    log.warning("Downloading %s", net.url)
    fetched = folder / f".{file_name}.partial"
    try:
        fetch(net.url, fetched)
    except BROKEN as error:
        remedy = f"Try again: what was fetched is kept; or put a safetensors file {name}*.safetensors into {folder}"
        raise WeightsError(f"{net.url} could not be fetched ({error})", remedy) from error
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        fetched = fetched.rename(Path(temporary) / file_name)
        sha256 = sha256_of(fetched)
        if not sha256.startswith(digits[1]):
            problem = f"{net.url} has the invalid hash value {sha256}, not {digits[1]}..."
            raise WeightsError(problem, f"Try again, or put a safetensors file {name}*.safetensors into {folder}")
        try:
            published = torch.load(fetched, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            raise WeightsError(f"{net.url} holds more than tensors", "Do not use it; report it") from error
        state = {key: value.contiguous() for key, value in published.items() if key.startswith("features.")}
        state |= _published_heads(net)
        kept = Path(temporary) / final.name
        save_file(state, kept, metadata={"source": net.url, "source_sha256": sha256})
        kept.replace(final)


def _published_heads(net: type[Backbone]) -> dict[str, Tensor]:
    """LPIPS v0.1 heads ``lin{k}.weight`` from the installed torchmetrics (BSD-2, R. Zhang and others, 2018)."""
    package = find_spec("torchmetrics")
    if net.heads_file is None:
        return {}
    if package is None or package.origin is None:
        log.warning("%s is fetched without the heads of LPIPS, so LPIPS stays empty. Install torchmetrics, delete the "
                    "fetched file and fetch it again.", net.name)  # fmt: skip
        return {}
    file_name, sha256 = net.heads_file
    path = Path(package.origin).parent / "functional" / "image" / "lpips_models" / file_name
    if not path.is_file() or sha256_of(path) != sha256:
        log.warning("%s is not the file of LPIPS v0.1 heads: %s will have none", path, net.name)
        return {}
    heads = torch.load(path, map_location="cpu", weights_only=True)
    return {f"lin{k}.weight": heads[f"lin{k}.model.1.weight"].contiguous() for k in range(len(net.layer_of))}


def _find(name: str, folder: Path) -> Path | None:
    """The one weights file of a network in a folder, or None."""
    found = sorted(folder.glob(f"{name}*.safetensors"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise WeightsError(f"several files could be {name}: {names}", "Keep one, or name the file", folder)
    return found[0] if found else None


def _from_file(net: type[Backbone], path: Path) -> Backbone:
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"not a readable safetensors file ({error})", "Fetch it again", path) from error
    features = {key.removeprefix("features."): v for key, v in state.items() if key.startswith("features.")}
    heads = [state[f"lin{k}.weight"] for k in range(len(net.layer_of)) if f"lin{k}.weight" in state]
    try:
        backbone = _filled(net, features, heads)
    except (RuntimeError, ValueError) as error:
        problem = f"these are not weights of {net.name} ({' '.join(str(error).split())})"
        raise WeightsError(problem, f"Use torchvision's names and shapes of {net.name}", path) from error
    backbone.sha256, backbone.trained = sha256_of(path), True
    backbone.provenance = f"{path.name} (features up to {backbone.taps[-1]})"
    log.info("%s: %s, sha256 %s", net.name, backbone.provenance, backbone.sha256)
    return backbone


def _drawn(net: type[Backbone], seed: int, why: str) -> Backbone:
    """He-normal weights, zero biases, and heads that average over channels, the same for the same seed."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in net().features.state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    features = {}
    for key, shape in shapes.items():
        features[key] = torch.zeros(shape)
        if key.endswith("weight"):
            nn.init.kaiming_normal_(features[key], nonlinearity="relu", generator=generator)
    backbone = _filled(net, features, [])
    if net.heads_file is not None:
        widths = [value.shape[1] for value in backbone(torch.zeros(1, 3, net.smallest, net.smallest)).values()]
        backbone.heads.extend(torch.full((1, width, 1, 1), 1 / width) for width in widths)
        backbone.requires_grad_(False)
    digest = hashlib.sha256()
    for value in features.values():
        digest.update(value.numpy().tobytes())
    backbone.sha256, backbone.trained = digest.hexdigest(), False
    backbone.provenance = f"seeded {seed} ({why})"
    log.warning(
        "%s: random weights from seed %d (%s). What is seen through it is not comparable to published figures; "
        "set FACEINPAINT_WEIGHTS, name a file, or ask for a download to use trained weights.",
        net.name,
        seed,
        why,
    )
    return backbone


def _filled(net: type[Backbone], features: dict[str, Tensor], heads: list[Tensor]) -> Backbone:
    """The network cut after its last layer with weights, filled, frozen.

    Raises:
        ValueError, RuntimeError: names, shapes or values do not fit.
    """
    if not features:
        raise ValueError("no key begins with features.")
    if not all(value.isfinite().all() for value in [*features.values(), *heads]):
        raise ValueError("a weight is not finite")
    with torch.device("meta"):  # no time and memory for weights that are replaced at once
        backbone = net()
    last = max(int(key.partition(".")[0]) for key in features)
    deepest = min((layer for layer in net.layer_of.values() if layer >= last), default=last)
    backbone.features = nn.Sequential(*list(backbone.features)[: deepest + 1])
    backbone.features.load_state_dict({key: v.float() for key, v in features.items()}, strict=True, assign=True)
    if heads:
        shapes = [tuple(head.shape) for head in heads]
        widths = [value.shape[1] for value in backbone(torch.zeros(1, 3, net.smallest, net.smallest)).values()]
        if shapes != [(1, width, 1, 1) for width in widths]:
            raise ValueError(f"LPIPS heads of shapes {shapes} do not fit layers of widths {widths}")
        backbone.heads.extend(head.float() for head in heads)
    return backbone.eval().requires_grad_(False)
