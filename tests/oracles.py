"""Plain loops written from the formulas of CN113298736A, with nothing taken from the library.

They are slow and say what they mean: the tests compare the library's vectorised code with them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def conv(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """Convolution of x (B, I, H, W) with weight (O, I, k, k), one kernel tap after the other."""
    batch, _, height, width = x.shape
    outputs, inputs, k, _ = weight.shape
    canvas = x.new_zeros(batch, inputs, height + 2 * padding, width + 2 * padding)
    canvas[:, :, padding : padding + height, padding : padding + width] = x
    h, w = (height + 2 * padding - k) // stride + 1, (width + 2 * padding - k) // stride + 1
    out = x.new_zeros(batch, outputs, h, w)
    for i in range(k):
        for j in range(k):
            seen = canvas[:, :, i : i + stride * h : stride, j : j + stride * w : stride][:, :, :h, :w]
            out += torch.einsum("oi,bihw->bohw", weight[:, :, i, j], seen)
    return out + bias[None, :, None, None]


def conv_transpose(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    """Transposed convolution of x (B, I, H, W) with weight (I, O, k, k): every pixel paints a k x k patch."""
    batch, _, height, width = x.shape
    _, outputs, k, _ = weight.shape
    canvas = x.new_zeros(batch, outputs, (height - 1) * stride + k, (width - 1) * stride + k)
    for i in range(height):
        for j in range(width):
            patch = torch.einsum("bi,iokl->bokl", x[:, :, i, j], weight)
            canvas[:, :, i * stride : i * stride + k, j * stride : j * stride + k] += patch
    inner = canvas[:, :, padding : canvas.shape[2] - padding, padding : canvas.shape[3] - padding]
    return inner + bias[None, :, None, None]


def instance_norm(x: Tensor, known: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Normalise each plane of x (B, C, H, W) by its own mean and variance, over the pixels ``known`` (B, H, W)."""
    images = []
    for b in range(len(x)):
        planes = []
        for plane in x[b]:
            values = plane.flatten()
            if known is not None and bool(known[b].any()):
                values = plane[known[b]]
            mean = values.sum() / len(values)
            variance = ((values - mean) ** 2).sum() / len(values)
            planes.append((plane - mean) / (variance + eps) ** 0.5)
        images.append(torch.stack(planes))
    return torch.stack(images)


def leaky_relu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def down_module(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """DownSampleModule: 3x3 convolution, instance normalisation, LeakyReLU."""
    return leaky_relu(instance_norm(conv(x, weight, bias, stride, padding=1)))


def up_module(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 2) -> Tensor:
    """UpSampleModule: transposed convolution (4x4 and stride 2; 3x3 if size-keeping), instance norm, LeakyReLU."""
    return leaky_relu(instance_norm(conv_transpose(x, weight, bias, stride, padding=1)))


def nearest(x: Tensor, h: int, w: int) -> Tensor:
    """Nearest-neighbour resize of the last two dimensions: output pixel (i, j) is input pixel (iH//h, jW//w)."""
    height, width = x.shape[-2:]
    rows = [i * height // h for i in range(h)]
    columns = [j * width // w for j in range(w)]
    return x[..., rows, :][..., columns]


def damaged_loop(regions: Tensor, hole: Tensor, n: int) -> Tensor:
    """sum(M_i) > 0 with M_i = S_i M, for regions (B, H, W) and hole (B, 1, H, W) -> (B, n + 1) bool."""
    flags = torch.zeros(len(regions), n + 1, dtype=torch.bool)
    for b in range(len(regions)):
        for i in range(n + 1):
            flags[b, i] = bool(((regions[b] == i) & (hole[b, 0] > 0)).sum() > 0)
    return flags


def style_pool_loop(
    features: Tensor, regions: Tensor, n: int, hole: Tensor | None = None
) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Mean feature of every region and of all of them together, pixel by pixel; all at the size of ``features``.

    With ``hole`` only pixels outside it are averaged, and a region without any takes the mean of the whole face.

    Returns:
        local[b][i - 1] and whole[b], each (C,).
    """
    batch, channels, height, width = features.shape
    local, whole = [], []
    for b in range(batch):
        sums = [features.new_zeros(channels) for _ in range(n + 1)]
        areas = [0] * (n + 1)
        for row in range(height):
            for column in range(width):
                if hole is None or hole[b, 0, row, column] == 0:
                    i = int(regions[b, row, column])
                    sums[i] = sums[i] + features[b, :, row, column]
                    areas[i] += 1
        face, area = sum(sums[1:], features.new_zeros(channels)), sum(areas[1:])
        whole.append(face / area if area else face)
        empty = features.new_zeros(channels) if hole is None else whole[-1]
        local.append([sums[i] / areas[i] if areas[i] else empty for i in range(1, n + 1)])
    return local, whole


def factor_loop(factor: int, i: int, local: Tensor, whole: Tensor, heads: dict[str, Tensor]) -> Tensor:
    """gamma_i (factor 0) or beta_i (factor 1) of one image: styles (256,), twice -> (C,); i counts from 0.

    ``heads`` holds weight and bias (2, n, 256, C) and (2, n, C), perhaps weight_global and bias_global (a separate
    linear layer for the global style), and alpha (2, n).
    """
    of_local = heads["weight"][factor, i].T @ local + heads["bias"][factor, i]
    weight, bias = heads.get("weight_global", heads["weight"]), heads.get("bias_global", heads["bias"])
    of_whole = weight[factor, i].T @ whole + bias[factor, i]
    share = sigmoid(heads["alpha"][factor, i])
    return share * of_local + (1 - share) * of_whole


def region_norm_loop(
    x: Tensor, matrix: Tensor, regions: Tensor, hole: Tensor, damaged: Tensor, heads: dict[str, Tensor], *,
    mask_beta: bool = True, other: str = "pass", statistics: str = "whole",
) -> Tensor:  # fmt: skip
    """RegionNormBlock as the patent writes it: region by region, image by image, and the sum of the parts.

    Args:
        x: features (B, C, h, w).
        matrix: style matrix (B, 256, N + 1), the last column global.
        regions: map (B, h, w) with 0 = other, always: with other="own" column N of the matrix belongs to label 0.
        hole: (B, 1, h, w), 1 = hole.
        damaged: (B, N + 1) flags; column 0 is read with other="own" only.
        heads: see :func:`factor_loop`.
        mask_beta: beta inside its region only; False is the letter, beta on every pixel.
        other: label 0 is normalised only ("pass"), left out of the sum ("zero"), or a region like any ("own").
        statistics: mean and variance over the "whole" map or over "valid" (known) pixels, if there are any.
    """
    n = matrix.shape[2] - 1
    normalised = instance_norm(x, hole[:, 0] == 0 if statistics == "valid" else None)
    images = []
    for b in range(len(x)):
        total = torch.zeros_like(normalised[b])
        for i in range(1, n + 1):
            label = 0 if other == "own" and i == n else i
            inside = (regions[b] == label).to(x.dtype)
            part = normalised[b] * inside
            if damaged[b, label]:
                gamma = factor_loop(0, i - 1, matrix[b, :, i - 1], matrix[b, :, n], heads)[:, None, None]
                beta = factor_loop(1, i - 1, matrix[b, :, i - 1], matrix[b, :, n], heads)[:, None, None]
                part = part * (1 + gamma) + (beta * inside if mask_beta else beta)
            total = total + part
        if other == "pass":
            total = total + normalised[b] * (regions[b] == 0)
        images.append(total)
    return torch.stack(images)
