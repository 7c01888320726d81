"""Image and set metrics of the comparison protocol.

Images are uint8-rounded (:func:`~faceinpaint.pixels.quantise`) and given as float (or uint8) tensors (B, 3, H, W) in
0..255; image metrics return one value per image, (B,). A mean over images is left to the caller: PSNR is the mean of
PSNRs, not the PSNR of a mean error. Everything is computed in float32 or float64, under autocast too.

Sources: the patent; Wang and others 2004 (SSIM); Zhang and others 2018 (LPIPS v0.1); Heusel and others 2017 (FID);
Binkowski and others 2018 (KID); Parmar and others 2022 (clean-fid).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from faceinpaint.backbones import Backbone
from faceinpaint.errors import DataError, WeightsError
from faceinpaint.files import sha256_of
from faceinpaint.mend import mend_torchvision
from faceinpaint.pixels import from_bytes
from faceinpaint.pixels import quantise as quantise  # what the metrics want their images to be

L = 255.0
"""Dynamic range of a colour value."""
C1 = (0.01 * L) ** 2
C2 = (0.03 * L) ** 2
C3 = C2 / 2


def _pair(image: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    if image.shape != reference.shape or image.ndim != 4:
        raise DataError(
            f"cannot compare images of shapes {tuple(image.shape)} and {tuple(reference.shape)}",
            "Give two batches (B, C, H, W) of one shape",
        )
    return image, reference


@contextmanager
def _float32(device: torch.device) -> Iterator[None]:
    """Convolutions in float32 proper: no autocast, and no TF32, which cuDNN uses by default."""
    with (
        torch.autocast(device.type, enabled=False),
        torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
    ):
        yield


# ------------------------------------------------------------------------------------------ error per image


def _by_blocks(measure: Callable[..., Tensor], image: Tensor, reference: Tensor, hole: Tensor | None = None) -> Tensor:
    """``measure`` of float32 images and, if given, their holes, a few images at a time on a CPU: (B,).

    There memory is the limit, and what a few images need stays in its cache from the first step to the last.
    """
    x, y = _pair(image, reference)
    given = (x, y) if hole is None else (x, y, hole)
    block = max(1, 2**16 // max(1, x[0, 0].numel())) if len(x) and x.device.type == "cpu" else max(1, len(x))
    parts = zip(*(g.split(block) for g in given), strict=True)
    return torch.cat([measure(p[0].float(), p[1].float(), *p[2:]) for p in parts])


def _mean_over(values: Tensor, hole: Tensor | None = None) -> Tensor:
    """Mean of (B, C, H, W) over each image, or over its hole pixels; (B,) float64, NaN where there is none."""
    if hole is None:
        return values.mean(dim=(1, 2, 3), dtype=torch.float64)
    inside = (hole > 0.5).expand_as(values)
    return (values * inside).sum(dim=(1, 2, 3), dtype=torch.float64) / inside.sum(dim=(1, 2, 3))


def psnr(image: Tensor, reference: Tensor, hole: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB, Eq. (25): 10 log10(MAX^2 / MSE).

    MAX is the greatest value of an 8-bit sample, 255, not that of the true image at hand.

    Args:
        image: (B, 3, H, W) in 0..255.
        reference: the true image, same shape.
        hole: (B, 1, H, W), 1 = hole; if given, only hole pixels count.

    Returns:
        (B,) float64; infinite where both are equal, NaN where the hole is empty.

    >>> psnr(torch.full((1, 3, 4, 4), 10.0), torch.zeros(1, 3, 4, 4)).round(decimals=2)
    tensor([28.1300], dtype=torch.float64)
    """
    return 10 * torch.log10(
        L**2 / _by_blocks(lambda x, y, *h: _mean_over((x - y).square_(), *h), image, reference, hole)
    )


def l1(image: Tensor, reference: Tensor, hole: Tensor | None = None) -> Tensor:
    """Mean absolute difference as a fraction of the range, in [0, 1]; arguments as :func:`psnr`.

    Returns:
        (B,) float64; NaN where the hole is empty.

    >>> l1(torch.full((1, 3, 4, 4), 51.0), torch.zeros(1, 3, 4, 4))
    tensor([0.2000], dtype=torch.float64)
    """
    return _by_blocks(lambda x, y, *h: _mean_over((x - y).abs_(), *h), image, reference, hole) / L


# ------------------------------------------------------------------------------------------------------ SSIM


def luminance(mean_x: Tensor, mean_y: Tensor) -> Tensor:
    """Luminance comparison of SSIM, Eq. (26), from local means in 0..255; any shape, values in (0, 1].

    >>> luminance(torch.tensor(100.0), torch.tensor(100.0))
    tensor(1.)
    """
    return (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)


def contrast(std_x: Tensor, std_y: Tensor) -> Tensor:
    """Contrast comparison of SSIM, Eq. (27), from local standard deviations; any shape, values in (0, 1].

    The patent prints it twice: with the covariance in the numerator ([0100]) and with the product of standard
    deviations ([0226]). The latter is Wang's and the one whose product with :func:`structure` makes sense.

    >>> contrast(torch.tensor(5.0), torch.tensor(5.0))
    tensor(1.)
    """
    return (2 * std_x * std_y + C2) / (std_x**2 + std_y**2 + C2)


def structure(covariance: Tensor, std_x: Tensor, std_y: Tensor) -> Tensor:
    """Structure comparison of SSIM, Eq. (28), from local covariance and standard deviations; in [-1, 1].

    >>> structure(torch.tensor(25.0), torch.tensor(5.0), torch.tensor(5.0))
    tensor(1.)
    """
    return (covariance + C3) / (std_x * std_y + C3)


def ssim(image: Tensor, reference: Tensor, window: int | None = 11) -> Tensor:
    """Structural similarity, Eq. (29): luminance times contrast times structure.

    Statistics are Wang's: in a Gaussian window of standard deviation 1.5, with population covariance, on windows
    that lie wholly inside the image; the map is averaged, then the colour channels.

    Args:
        image: (B, C, H, W) in 0..255.
        reference: same shape.
        window: side of the window in pixels, odd; None takes one mean, deviation and covariance over the whole
            image instead, which is what the patent's formulas say when read literally.

    Returns:
        (B,) float64.

    Raises:
        DataError: shapes differ, or the image is smaller than the window.

    >>> image = torch.arange(768.0).reshape(1, 3, 16, 16) / 3
    >>> ssim(image, image)
    tensor([1.], dtype=torch.float64)
    """
    if window is None:
        return _whole_image_ssim(*(v.double() for v in _pair(image, reference)))
    height, width = image.shape[-2:]
    if min(height, width) < window:
        raise DataError(f"an image of {height}x{width} holds no window of {window}", "Give larger images")
    return _by_blocks(lambda x, y: _windowed_ssim(x, y, window), image, reference)


def _whole_image_ssim(x: Tensor, y: Tensor) -> Tensor:
    mean_x, mean_y = (v.mean(dim=(2, 3), keepdim=True) for v in (x, y))
    std_x, std_y = ((v - v.mean(dim=(2, 3), keepdim=True)).square().mean(dim=(2, 3)).sqrt() for v in (x, y))
    covariance = ((x - mean_x) * (y - mean_y)).mean(dim=(2, 3))
    light = luminance(mean_x, mean_y)[..., 0, 0]
    return (light * contrast(std_x, std_y) * structure(covariance, std_x, std_y)).mean(dim=1)


def _windowed_ssim(x: Tensor, y: Tensor, window: int) -> Tensor:
    """SSIM in a Gaussian window of float32 images (B, C, H, W) -> (B,).

    As C3 = C2 / 2, the deviations' product cancels between contrast and structure, so that the sum of both variances
    is all that is needed: four local means in the place of five. Around mid-grey float32 is precise enough for them.
    """
    x, y = x - L / 2, y - L / 2
    mean_x, mean_y, product = (_local_mean(v, window) for v in (x, y, x * y))
    squares = _local_mean(x.square_().add_(y.square_()), window)
    # Rounded alike above and below, so that equal images are alike to exactly 1.
    above = product.sub_(mean_x * mean_y).mul_(2).add_(C2)
    below = squares.sub_(mean_x.square().add_(mean_y.square())).clamp_(min=0).add_(C2)
    likeness = luminance(mean_x + L / 2, mean_y + L / 2).mul_(above).div_(below)
    return likeness.mean(dim=(1, 2, 3), dtype=torch.float64)


def _local_mean(x: Tensor, window: int) -> Tensor:
    """Gaussian-weighted mean in every whole window, (..., H, W) -> (..., H', W')."""
    offsets = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    kernel = torch.exp(-(offsets**2) / (2 * 1.5**2))
    weights = (kernel / kernel.sum()).tolist()
    # First down, then across; adding up shifted copies beats a convolution of one channel on a CPU.
    for dim in (-2, -1):
        size = x.shape[dim] - window + 1
        total = x.narrow(dim, 0, size) * weights[0]
        for start, weight in enumerate(weights[1:], start=1):
            total.add_(x.narrow(dim, start, size), alpha=weight)
        x = total
    return x


# ----------------------------------------------------------------------------------------------------- LPIPS


@torch.no_grad()
def lpips(image: Tensor, reference: Tensor, backbone: Backbone) -> Tensor:
    """LPIPS v0.1: weighted distance of unit-normalised activations, averaged over positions, summed over layers.

    Args:
        image: (B, 3, H, W) in 0..255; taken to [-1, 1] inside, as LPIPS wants it.
        reference: same shape.
        backbone: AlexNet or SqueezeNet with LPIPS heads, on the device of the images.

    Returns:
        (B,) float64.

    Raises:
        WeightsError: the backbone has no heads.

    >>> from faceinpaint.backbones import load_backbone
    >>> grey = torch.full((1, 3, 64, 64), 128.0)
    >>> network = load_backbone("alexnet", "seed")
    >>> lpips(grey, grey, network)
    tensor([0.], dtype=torch.float64)
    """
    x, y = (v.float() for v in _pair(image, reference))
    if not len(backbone.heads):
        raise WeightsError(
            f"the weights of {backbone.name} ({backbone.provenance}) hold no LPIPS heads",
            "Use a file that also has lin0.weight, lin1.weight, ... of LPIPS v0.1",
        )
    with _float32(x.device):
        of_x, of_y = backbone(from_bytes(x)), backbone(from_bytes(y))
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for tap, head in zip(backbone.taps, backbone.heads, strict=True):
            difference = (_unit(of_x[tap]) - _unit(of_y[tap])) ** 2
            total += (difference * head).sum(dim=1).mean(dim=(1, 2)).double()
    return total


def _unit(features: Tensor) -> Tensor:
    return features / (features.norm(dim=1, keepdim=True) + 1e-10)


# ----------------------------------------------------------------------------- distances between sets of images


@torch.no_grad()
def frechet_features(images: Tensor, backbone: Backbone) -> Tensor:
    """Features for FD-AlexNet: the deepest activation (AlexNet: relu5, 256 channels) averaged over positions.

    Images enter at their own size, without resizing; so distances compare only between runs of one image size.

    Args:
        images: (B, 3, H, W) in 0..255.
        backbone: a network on the device of the images.

    Returns:
        (B, D) float32, D = 256 for AlexNet.

    >>> from faceinpaint.backbones import load_backbone
    >>> frechet_features(torch.zeros(2, 3, 64, 64), load_backbone("alexnet", "seed")).shape
    torch.Size([2, 256])
    """
    deepest = backbone.taps[-1]
    with _float32(images.device):
        return backbone(from_bytes(images.float()), [deepest])[deepest].mean(dim=(2, 3))


class FeatureStats:
    """Count, mean and covariance of features that arrive in batches, in float64, without keeping them.

    >>> stats = FeatureStats().update(np.array([[0.0, 1.0], [2.0, 1.0]]))
    >>> stats.count, stats.mean.tolist(), stats.covariance.tolist()
    (2, [1.0, 1.0], [[2.0, 0.0], [0.0, 0.0]])
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))

    def update(self, features: Tensor | np.ndarray) -> FeatureStats:
        """Take in a batch (B, D); returns itself.

        Raises:
            DataError: features are not finite, or of another width than before.
        """
        x = _as_features(features)
        if self.count == 0:
            self.mean, self._scatter = np.zeros(x.shape[1]), np.zeros((x.shape[1], x.shape[1]))
        if x.shape[1] != len(self.mean):
            raise DataError(f"features of width {x.shape[1]} after width {len(self.mean)}", "Use one network")
        # Merging means and scatter matrices is stable where sums of squares are not.
        mean, total = x.mean(axis=0), self.count + len(x)
        shift = mean - self.mean
        self._scatter += (x - mean).T @ (x - mean) + np.outer(shift, shift) * (self.count * len(x) / total)
        self.mean = self.mean + shift * (len(x) / total)
        self.count = total
        return self

    @property
    def covariance(self) -> np.ndarray:
        """Sample covariance (D, D), divided by count - 1.

        Raises:
            DataError: fewer than two features have arrived.
        """
        if self.count < 2:
            raise DataError(f"{self.count} images have no covariance", "Give at least two")
        return self._scatter / (self.count - 1)


def _as_features(features: Tensor | np.ndarray) -> np.ndarray:
    x = features.detach().cpu().numpy() if isinstance(features, Tensor) else np.asarray(features)
    if x.ndim != 2 or not len(x) or not np.isfinite(x).all():
        raise DataError(f"features of shape {x.shape} are not a finite (N, D) table", "Check the images")
    return x.astype(np.float64)


def frechet_distance(a: FeatureStats, b: FeatureStats, *, literal: bool = False) -> float:
    """Fréchet distance between two Gaussians, Eq. (30): ``|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2))``.

    It is called FID only when the features are Inception's. Its value grows as the number of images falls, by an
    amount that depends on the method: compare equal numbers only, and state them.

    Args:
        a, b: statistics of the two sets.
        literal: the patent's print instead, ``|m1 - m2| + Tr(S1 S2 - 2 (S1 S2)^(1/2))``, which is no distance: the
            norm is not squared, the covariances are multiplied, and equal sets do not give zero.

    Raises:
        DataError: widths differ, or a set holds fewer than two images.

    >>> a, b = (FeatureStats().update(np.array([[0.0], [2.0]]) + shift) for shift in (0, 3))
    >>> round(frechet_distance(a, b), 6)
    9.0
    """
    if len(a.mean) != len(b.mean):
        raise DataError(f"features of widths {len(a.mean)} and {len(b.mean)}", "Use one network for both sets")
    s1, s2 = a.covariance, b.covariance
    # S1 S2 has the eigenvalues of the symmetric root(S1) S2 root(S1), also where covariances are singular,
    # as they are with fewer images than features; a general matrix square root is not reliable there.
    values, vectors = np.linalg.eigh(s1)
    present = values > values[-1] * len(values) * np.finfo(np.float64).eps  # the others are zero but for rounding
    root = vectors[:, present] * np.sqrt(values[present])
    product_values = np.linalg.eigvalsh(root.T @ s2 @ root).clip(min=0)
    trace_of_root = np.sqrt(product_values).sum()
    gap = a.mean - b.mean
    if literal:
        return float(np.linalg.norm(gap) + product_values.sum() - 2 * trace_of_root)
    return float(gap @ gap + np.trace(s1) + np.trace(s2) - 2 * trace_of_root)


def kid(
    x: Tensor | np.ndarray,
    y: Tensor | np.ndarray,
    *,
    subsets: int | None = None,
    subset_size: int = 1000,
    seed: int = 0,
    shows: np.ndarray | Sequence[int] | None = None,
) -> float:
    """Kernel distance KID: squared MMD with the kernel (x . y / D + 1)^3; it can be negative.

    Its expectation does not depend on the number of images where all of them are drawn independently. Repaired and
    true pictures of the same face are not: each is near its own original, which pulls the plain estimate down, the
    more the fewer the images. With ``shows`` the kernel is averaged over pictures of different faces only, in all
    three terms, and that is unbiased again.

    Args:
        x, y: features (N, D) and (M, D), at least two each.
        subsets: None uses all pairs at once; a number averages over that many random subsets of
            ``subset_size`` (or of the smaller set) drawn without replacement, 100 in clean-fid.
        seed: for the subsets.
        shows: which face ``x[i]`` and ``y[i]`` show, (N,); needs N = M and at least two faces, and no subsets.

    Raises:
        DataError: widths differ, there are too few pictures or faces, or ``shows`` does not fit.

    >>> features = np.eye(4)
    >>> kid(features, features) < kid(features, features + 1)
    True
    """
    x, y = _as_features(x), _as_features(y)
    if shows is not None:
        _, face = np.unique(np.asarray(shows), return_inverse=True)
        if subsets is not None or x.shape != y.shape or face.shape != (len(x),) or face.max() < 1:
            problem = f"features {x.shape} and {y.shape} are not pairs of at least two faces"
            raise DataError(f"{problem}, {face.shape[0]} of them named", "Name the face of each pair, without subsets")
        return _mmd_between_faces(x, y, face)
    if x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise DataError(f"no kernel distance between features {x.shape} and {y.shape}", "Check both sets")
    if subsets is None:
        return _mmd(x, y)
    rng = np.random.default_rng(seed)
    size = min(len(x), len(y), subset_size)
    draws = [
        _mmd(x[rng.choice(len(x), size, replace=False)], y[rng.choice(len(y), size, replace=False)])
        for _ in range(subsets)
    ]
    return float(np.mean(draws))


def _mmd(x: np.ndarray, y: np.ndarray) -> float:
    within = [(_kernel_sum(z, z) - _cubic((z * z).sum(axis=1), z).sum()) / (len(z) * (len(z) - 1)) for z in (x, y)]
    return float(within[0] + within[1] - 2 * _kernel_sum(x, y) / (len(x) * len(y)))


def _mmd_between_faces(x: np.ndarray, y: np.ndarray, face: np.ndarray) -> float:
    count = np.bincount(face)
    terms = []
    for a, b in ((x, x), (y, y), (x, y)):
        same = sum(_kernel_sum(a[face == f], b[face == f]) for f in range(len(count)))
        terms.append((_kernel_sum(a, b) - same) / (len(x) ** 2 - (count**2).sum()))
    return float(terms[0] + terms[1] - 2 * terms[2])


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    # In blocks of rows: a whole kernel matrix of 30,000 images would take 7 GB.
    return sum(_cubic(x[i : i + 1000] @ y.T, x).sum() for i in range(0, len(x), 1000))


def _cubic(products: np.ndarray, features: np.ndarray) -> np.ndarray:
    return (products / features.shape[1] + 1) ** 3


# ------------------------------------------------------------------------------------- FID through clean-fid

INCEPTION_FILE = "inception-2015-12-05.pt"
INCEPTION_URL = f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{INCEPTION_FILE}"
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
"""Of the one Inception file with which a Fréchet distance is the FID that others report."""


@dataclass(frozen=True)
class InceptionScores:
    """FID and KID of two folders, and what a results record must say beside them.

    Attributes:
        fid, kid: the two distances; KID as in :func:`kid` over all pairs.
        count_a, count_b: numbers of images.
        sha256: of the Inception file.
        published: whether that is the published file; otherwise the numbers may not be called FID and KID.

    >>> InceptionScores(fid=9.1, kid=0.002, count_a=500, count_b=500, sha256="0", published=False).published
    False
    """

    fid: float
    kid: float
    count_a: int
    count_b: int
    sha256: str
    published: bool


def fid_cleanfid(
    folder_a: Path, folder_b: Path, inception: Path, *, device: str | torch.device = "cpu", batch_size: int = 32
) -> InceptionScores:
    """FID and KID between two folders of PNG pictures, with clean-fid's resizing and Inception features.

    clean-fid reads, resizes (Pillow's bicubic in float, to 299) and normalises; the distances are
    :func:`frechet_distance` and :func:`kid`, which agree with clean-fid's on the same features but stand fewer
    images than features and need no random subsets.

    Args:
        folder_a, folder_b: pictures, in one format on both sides.
        inception: clean-fid's TorchScript file (:data:`INCEPTION_URL`). TorchScript is a program: naming the file
            is the request to run it. clean-fid itself would download to a fixed file in the shared temporary
            folder and check nothing; here a file is only ever read from where the user says, and its sha256
            goes into the result.
        device: where the network runs.
        batch_size: pictures that it sees at once.

    Raises:
        WeightsError: clean-fid is not installed, or the file is missing or no such network.
        DataError: a folder holds fewer than two pictures.

    >>> fid_cleanfid(Path("real"), Path("repaired"), Path("no.pt"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    faceinpaint.errors.WeightsError: no.pt: there is no Inception file. Fetch https://... and name it.
    """
    inception = Path(inception)
    if not inception.is_file():
        raise WeightsError("there is no Inception file", f"Fetch {INCEPTION_URL} and name it", inception)
    mend_torchvision()
    try:
        from cleanfid import fid
    except ModuleNotFoundError as error:
        raise WeightsError("clean-fid is not installed", 'Install it: pip install "faceinpaint[fid]"') from error
    try:
        layers = torch.jit.load(inception, map_location=device).eval().layers
    except (RuntimeError, AttributeError) as error:
        problem = f"not clean-fid's Inception in TorchScript ({str(error).splitlines()[0]})"
        raise WeightsError(problem, f"Fetch {INCEPTION_URL} again", inception) from error

    def extract(batch: Tensor) -> Tensor:  # (B, 3, 299, 299) in 0..255, normalised as clean-fid does
        return layers((batch.float() - 128) / 128).reshape(len(batch), 2048)

    features = []
    for folder in (folder_a, folder_b):
        files = sorted(str(path) for path in Path(folder).rglob("*.png"))
        if len(files) < 2:
            raise DataError("fewer than two PNG pictures", "Save the pictures as PNG first", folder)
        features.append(
            fid.get_files_features(
                files, extract, num_workers=0, batch_size=batch_size, device=torch.device(device), verbose=False
            )
        )
    sha256, (a, b) = sha256_of(inception), features
    return InceptionScores(
        fid=frechet_distance(FeatureStats().update(a), FeatureStats().update(b)), kid=kid(a, b),
        count_a=len(a), count_b=len(b), sha256=sha256, published=sha256 == INCEPTION_SHA256,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- intervals


def bootstrap_interval(
    values: np.ndarray | Tensor | Sequence[float],
    n: int = 1000,
    seed: int = 0,
    counts: np.ndarray | None = None,
) -> tuple[float, float]:
    """95% percentile bootstrap interval of the mean over images, or over groups of them.

    Args:
        values: one value per image, (N,), or the mean of each group.
        n: number of resamples.
        seed: of the resampling.
        counts: how many images stand behind each value, (N,); one if None. The mean is over images then: groups are
            drawn anew, and each counts by its size.

    Returns:
        Low and high end, two of the resampled means. An infinite value (PSNR of equal images) is carried through.

    Raises:
        DataError: there are no values, or they are not one per image.

    >>> bootstrap_interval([2.0, 2.0, 2.0])
    (2.0, 2.0)
    """
    x = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if x.ndim != 1 or not len(x):
        raise DataError(f"no interval from values of shape {x.shape}", "Give one value per image")
    rng = np.random.default_rng(seed)
    rows = max(1, 4_000_000 // len(x))  # resamples at a time, 64 MB
    share = np.ones(len(x)) if counts is None else np.asarray(counts, float)
    means = []
    for i in range(0, n, rows):
        drawn = rng.integers(0, len(x), (min(rows, n - i), len(x)))
        means.append((x * share)[drawn].sum(axis=1) / share[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975), method="inverted_cdf")
    return float(low), float(high)
