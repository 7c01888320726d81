"""What the two DeepFills share: attention, resizing and padding as the originals have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from faceinpaint.models.refinement import SameConv2d, attention, fuse, nearest


def loop_shrink(x: np.ndarray) -> np.ndarray:
    """(C, H, W) -> (C, H/2, W/2): picture point i of n is point i * (2n - 1) / (n - 1), rounded half up."""
    _, height, width = x.shape
    rows = [int(np.floor(i * (height - 1) / (height // 2 - 1) + 0.5)) for i in range(height // 2)]
    columns = [int(np.floor(i * (width - 1) / (width // 2 - 1) + 0.5)) for i in range(width // 2)]
    return np.stack([[channel[r, c] for r in rows for c in columns] for channel in x]).reshape(
        len(x), height // 2, width // 2
    )


def loop_patch(x: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    """size x size window of (C, H, W) that begins at (top, left), zeros outside."""
    out = np.zeros((len(x), size, size))
    for i in range(size):
        for j in range(size):
            if 0 <= top + i < x.shape[1] and 0 <= left + j < x.shape[2]:
                out[:, i, j] = x[:, top + i, left + j]
    return out


def loop_fuse(scores: np.ndarray) -> np.ndarray:
    """3x3 identity kernel over the table, zeros outside."""
    out = np.zeros_like(scores)
    n, m = scores.shape
    for p in range(n):
        for q in range(m):
            for shift in (-1, 0, 1):
                if 0 <= p + shift < n and 0 <= q + shift < m:
                    out[p, q] += scores[p + shift, q + shift]
    return out


def loop_attention(foreground: Tensor, background: Tensor, mask: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Contextual attention, one image, one place and one patch at a time, in float64."""
    all_features, all_scores = [], []
    for f_full, b_full, m_full in zip(
        foreground.double().numpy(), background.double().numpy(), mask.double().numpy(), strict=True
    ):
        f, b, m = loop_shrink(f_full), loop_shrink(b_full), loop_shrink(m_full)
        _, h, w = f.shape
        places = [(i, j) for i in range(h) for j in range(w)]
        table = np.zeros((h * w, h * w))
        for q, (i, j) in enumerate(places):
            patch = loop_patch(b, i - 1, j - 1, 3)
            patch = patch / max(np.sqrt((patch**2).sum()), 1e-4)
            for p, (k, n) in enumerate(places):
                table[p, q] = (loop_patch(f, k - 1, n - 1, 3) * patch).sum()
        # Numbered along rows, then along columns.
        table = loop_fuse(table)
        by_column = [i * w + j for j in range(w) for i in range(h)]
        other = loop_fuse(table[np.ix_(by_column, by_column)])
        table = np.zeros_like(other)
        table[np.ix_(by_column, by_column)] = other

        valid = np.array([loop_patch(m, i - 1, j - 1, 3).mean() == 0 for i, j in places], dtype=float)
        weights = np.zeros_like(table)
        for p in range(h * w):
            row = np.exp(10 * table[p] * valid - (10 * table[p] * valid).max())
            weights[p] = row / row.sum() * valid

        features = np.zeros_like(b_full)
        for p, (i, j) in enumerate(places):
            for q, (k, n) in enumerate(places):
                raw = loop_patch(b_full, 2 * k - 1, 2 * n - 1, 4)
                for a in range(4):
                    for c in range(4):
                        y, x = 2 * i - 1 + a, 2 * j - 1 + c
                        if 0 <= y < b_full.shape[1] and 0 <= x < b_full.shape[2]:
                            features[:, y, x] += weights[p, q] * raw[:, a, c]
        all_features.append(features / 4)
        all_scores.append(weights)
    return np.stack(all_features), np.stack(all_scores)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 10), (12, 8)])
def test_attention_equals_the_loops(height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(height)
    foreground = torch.randn(2, 3, height, width, generator=generator) * 0.1
    background = torch.randn(2, 3, height, width, generator=generator)
    background[1, :, -4:, :4] = 0  # a patch of length 0 meets the floor of the norm
    mask = torch.zeros(2, 1, height, width)
    mask[0, 0, :2, :3] = 1
    mask[1, 0, -1, -1] = 1
    features, scores = attention(foreground, background, mask)
    expected_features, expected_scores = loop_attention(foreground, background, mask)
    assert (scores > 0).any(dim=2).all()
    assert 0 < (scores == 0).sum() < scores.numel()
    np.testing.assert_allclose(scores.numpy(), expected_scores, atol=1e-5)
    np.testing.assert_allclose(features.numpy(), expected_features, atol=1e-5)


def test_fuse_equals_identity_convolution() -> None:
    scores = torch.randn(2, 15, 15)
    kernel = torch.eye(3)[None, None]
    once = torch.conv2d(scores[:, None], kernel, padding=1)[:, 0]
    turned = once.view(2, 3, 5, 3, 5).transpose(1, 2).transpose(3, 4).reshape(2, 1, 15, 15)
    twice = torch.conv2d(turned, kernel, padding=1).view(2, 5, 3, 5, 3).transpose(1, 2).transpose(3, 4)
    assert torch.allclose(fuse(scores, (3, 5)), twice.reshape(2, 15, 15), atol=1e-6)


def test_attention_finds_the_texture_again() -> None:
    # Two textures side by side: a place in the hole whose coarse content is one texture must borrow from that one.
    generator = torch.Generator().manual_seed(1)
    x = torch.zeros(1, 8, 16, 16)
    x[:, :4, :, :8] = torch.rand(4, 1, 1, generator=generator) + 0.5
    x[:, 4:, :, 8:] = torch.rand(4, 1, 1, generator=generator) + 0.5
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 6:10, 2:6] = 1
    features, scores = attention(x, x, mask)
    weights = scores[0].view(8, 8, 8, 8)
    assert weights[4, 2, :, :4].sum() > 0.9
    assert weights[4, 6, :, 4:].sum() > 0.9
    inside = features[0, :, 6:10, 2:6].mean((1, 2))
    assert torch.allclose(inside, x[0, :, 0, 0], atol=0.1)


def test_attention_borrows_nothing_the_hole_touches() -> None:
    x = torch.randn(2, 4, 16, 16)
    mask = torch.zeros(2, 1, 16, 16)
    mask[0, 0, 4:10, 4:10] = 1
    _, scores = attention(x, x, mask)
    hit = nearest(mask, (8, 8))[0, 0]
    for i in range(8):
        for j in range(8):
            touched = hit[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].any()
            assert (scores[0, :, 8 * i + j] == 0).all() == touched
    assert torch.allclose(scores[1].sum(1), torch.ones(64), atol=1e-5)
    assert (scores.sum(2) <= 1 + 1e-5).all()


def test_attention_with_nothing_to_borrow_gives_zeros() -> None:
    x = torch.randn(2, 4, 16, 16, requires_grad=True)
    features, scores = attention(x, x, torch.ones(2, 1, 16, 16))
    assert (features == 0).all()
    assert (scores == 0).all()
    features.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_attention_gradient_is_finite_on_empty_patches() -> None:
    x = torch.randn(1, 4, 16, 16)
    x[..., :8] = 0
    x.requires_grad_()
    attention(x, x, torch.zeros(1, 1, 16, 16))[0].square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert (x.grad != 0).any()


def test_attention_gradient_check() -> None:
    # The attention computes in float32, so the finite difference cannot be much narrower.
    generator = torch.Generator().manual_seed(3)
    x = (torch.randn(1, 2, 8, 8, generator=generator) * 0.2).requires_grad_()
    way = torch.randn(1, 2, 8, 8, generator=generator)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :2, :2] = 1
    aim = torch.randn(1, 2, 8, 8, generator=generator)
    value = (attention(x, x, mask)[0] * aim).sum()
    (gradient,) = torch.autograd.grad(value, x)
    step = 1e-3
    with torch.no_grad():
        rise = (attention(x + step * way, x + step * way, mask)[0] * aim).sum()
        fall = (attention(x - step * way, x - step * way, mask)[0] * aim).sum()
    assert ((rise - fall) / (2 * step)).item() == pytest.approx((gradient * way).sum().item(), rel=5e-3)


def test_nearest_keeps_both_ends() -> None:
    x = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    assert nearest(x, (4, 4))[0, 0, 0].tolist() == [0, 2, 5, 7]
    assert nearest(x, (8, 8)).equal(x)
    assert nearest(x, (1, 1)).shape == (1, 1, 1, 1)
    doubled = nearest(torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 2, 4), (4, 8))
    assert doubled[0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]  # hence nn.Upsample will do


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "side", "centre"),
    [(3, 2, 1, 8, 1), (5, 2, 1, 8, 1), (3, 2, 1, 7, 0), (5, 1, 1, 8, 0), (3, 1, 4, 8, 0), (5, 2, 1, 1, 0)],
)
def test_same_padding(kernel: int, stride: int, dilation: int, side: int, centre: int) -> None:
    # With only the middle tap set, output i reads input stride * i + centre: 1 where padding before is one less.
    layer = SameConv2d(1, 1, kernel, stride, dilation)
    assert (layer.bias == 0).all()
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[..., kernel // 2, kernel // 2] = 1
    x = torch.rand(1, 1, side, side)
    assert layer(x).equal(x[..., centre::stride, centre::stride])


def test_same_padding_of_a_flat_picture() -> None:
    layer = SameConv2d(1, 1, 3, 2)
    assert layer(torch.rand(1, 1, 7, 10)).shape == (1, 1, 4, 5)
