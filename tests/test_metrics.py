"""Metrics against their formulas written out, against independent libraries, and in closed form."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from faceinpaint import metrics
from faceinpaint.backbones import Backbone, _published_heads, load_backbone
from faceinpaint.errors import DataError, WeightsError
from faceinpaint.metrics import (
    C1,
    C2,
    C3,
    FeatureStats,
    bootstrap_interval,
    contrast,
    fid_cleanfid,
    frechet_distance,
    frechet_features,
    kid,
    l1,
    lpips,
    luminance,
    psnr,
    quantise,
    ssim,
    structure,
)

HAS_CLEANFID = importlib.util.find_spec("cleanfid") is not None
needs_cleanfid = pytest.mark.skipif(not HAS_CLEANFID, reason="clean-fid is not installed")


def pictures(count: int = 4, height: int = 40, width: int = 56, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Smooth uint8-rounded pictures with texture, and damaged versions of them, (B, 3, H, W) in 0..255."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    true = quantise(2 * smooth - 1 + 0.1 * torch.randn(count, 3, height, width, generator=generator))
    strength = torch.linspace(1, 60, count).view(-1, 1, 1, 1)
    return (true + strength * torch.randn(true.shape, generator=generator)).round().clamp(0, 255), true


def as_array(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy().astype(np.uint8)


def features(count: int, width: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(width, width)) / math.sqrt(width)
    return np.abs(rng.normal(size=(count, width)) @ mix + shift).astype(np.float32)


# ------------------------------------------------------------------------------------------------- PSNR, L1


def test_eq25_psnr_is_ten_log_of_peak_over_error() -> None:
    true = torch.zeros(3, 3, 8, 8)
    off = true + torch.tensor([1.0, 5.0, 255.0]).view(3, 1, 1, 1)
    expected = [20 * math.log10(255), 20 * math.log10(51), 0.0]
    assert psnr(off, true).tolist() == pytest.approx(expected)
    # The peak is 255 although the greatest value of this true image is 0, and equal images are infinitely close.
    assert psnr(true, true).tolist() == [math.inf] * 3


def test_psnr_agrees_with_scikit_image_and_torchmetrics() -> None:
    import torchmetrics.functional.image as reference

    image, true = pictures()
    ours = psnr(image, true)
    theirs = [
        peak_signal_noise_ratio(as_array(t), as_array(i), data_range=255) for i, t in zip(image, true, strict=True)
    ]
    assert ours.tolist() == pytest.approx(theirs, abs=1e-4)
    others = [reference.peak_signal_noise_ratio(i, t, data_range=255.0) for i, t in zip(image, true, strict=True)]
    assert ours.tolist() == pytest.approx([float(o) for o in others], abs=1e-4)


def test_hole_only_errors_see_hole_pixels_only() -> None:
    image, true = pictures(count=2)
    hole = torch.zeros(2, 1, *true.shape[2:])
    hole[0, :, 5:9, 7:20] = 1
    composite = torch.where(hole.bool(), image, true)
    inside = (image - true)[0, :, 5:9, 7:20].double()
    assert psnr(composite, true, hole)[0].item() == pytest.approx(10 * math.log10(255**2 / (inside**2).mean().item()))
    assert l1(image, true, hole)[0].item() == pytest.approx(inside.abs().mean().item() / 255)
    assert psnr(image, true, hole)[1].isnan()
    assert l1(image, true, hole)[1].isnan()
    everywhere = torch.ones_like(hole)
    assert torch.allclose(l1(image, true, everywhere), l1(image, true))


def test_l1_is_a_fraction_of_the_range() -> None:
    true = torch.zeros(2, 3, 4, 4)
    assert l1(true + torch.tensor([51.0, 255.0]).view(2, 1, 1, 1), true).tolist() == pytest.approx([0.2, 1.0])


def test_quantise_rounds_and_clamps() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 0.004, 1.0, 3.0])
    assert quantise(values).tolist() == [0, 0, 128, 128, 255, 255]
    bytes_ = torch.arange(256.0)
    assert torch.equal(quantise(bytes_ / 127.5 - 1), bytes_)


# ----------------------------------------------------------------------------------------------------- SSIM


def test_eq26_luminance_compares_means() -> None:
    x, y = torch.tensor([0.0, 10.0, 255.0]), torch.tensor([0.0, 30.0, 0.0])
    expected = [1.0, (600 + C1) / (1000 + C1), C1 / (255**2 + C1)]
    assert luminance(x, y).tolist() == pytest.approx(expected)
    assert pytest.approx(6.5025) == C1


def test_eq27_contrast_compares_standard_deviations_not_their_covariance() -> None:
    x, y = torch.tensor([0.0, 4.0, 20.0]), torch.tensor([0.0, 12.0, 0.0])
    expected = [1.0, (96 + C2) / (160 + C2), C2 / (400 + C2)]
    assert contrast(x, y).tolist() == pytest.approx(expected)
    assert pytest.approx(58.5225) == C2


def test_eq28_structure_compares_directions() -> None:
    std = torch.tensor([4.0, 4.0, 4.0])
    covariance = torch.tensor([16.0, 0.0, -16.0])
    expected = [1.0, C3 / (16 + C3), (C3 - 16) / (16 + C3)]
    assert structure(covariance, std, std).tolist() == pytest.approx(expected)
    assert pytest.approx(C2 / 2) == C3


def test_eq29_ssim_is_the_product_of_its_three_factors() -> None:
    """A plain loop over windows and channels, written from the four formulas, in float64; ours is in float32."""
    image, true = pictures(count=1, height=14, width=13)
    offsets = np.arange(11) - 5
    kernel = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * 1.5**2))
    kernel /= kernel.sum()
    values = []
    for x, y in zip(image[0].double().numpy(), true[0].double().numpy(), strict=True):
        for row in range(14 - 10):
            for column in range(13 - 10):
                a, b = (z[row : row + 11, column : column + 11] for z in (x, y))
                mean_a, mean_b = (kernel * a).sum(), (kernel * b).sum()
                std_a = math.sqrt((kernel * (a - mean_a) ** 2).sum())
                std_b = math.sqrt((kernel * (b - mean_b) ** 2).sum())
                covariance = (kernel * (a - mean_a) * (b - mean_b)).sum()
                brightness = (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)
                spread = (2 * std_a * std_b + 58.5225) / (std_a**2 + std_b**2 + 58.5225)
                direction = (covariance + 29.26125) / (std_a * std_b + 29.26125)
                values.append(brightness * spread * direction)
    assert ssim(image, true).item() == pytest.approx(np.mean(values), abs=1e-7)


def test_ssim_agrees_with_scikit_image() -> None:
    image, true = pictures()
    theirs = [
        structural_similarity(
            as_array(t),
            as_array(i),
            data_range=255,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for i, t in zip(image, true, strict=True)
    ]
    assert min(theirs) < 0.7  # the comparison reaches beyond nearly equal pictures
    assert ssim(image, true).tolist() == pytest.approx(theirs, abs=1e-4)


def test_ssim_agrees_with_torchmetrics_away_from_the_border() -> None:
    from torchmetrics.functional.image import structural_similarity_index_measure

    image, true = pictures()
    _, whole = structural_similarity_index_measure(image, true, data_range=255.0, return_full_image=True)
    inside = whole[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))
    assert torch.allclose(ssim(image, true).float(), inside, atol=1e-4)


def test_global_ssim_is_one_window_over_the_whole_image() -> None:
    image, true = (batch[-1:] for batch in pictures())
    values = []
    for x, y in zip(image[0].double().numpy(), true[0].double().numpy(), strict=True):
        covariance = np.cov(x.ravel(), y.ravel(), bias=True)
        values.append(
            (2 * x.mean() * y.mean() + C1)
            / (x.mean() ** 2 + y.mean() ** 2 + C1)
            * (2 * covariance[0, 1] + C2)
            / (covariance[0, 0] + covariance[1, 1] + C2)
        )
    assert ssim(image, true, window=None).item() == pytest.approx(np.mean(values), abs=1e-9)
    assert abs(ssim(image, true, window=None) - ssim(image, true)) > 1e-3


@given(st.integers(0, 2**31), st.integers(11, 24), st.integers(11, 24))
def test_ssim_is_symmetric_bounded_and_one_on_equal_images(seed: int, height: int, width: int) -> None:
    x, y = torch.randint(0, 256, (2, 1, 3, height, width), generator=torch.Generator().manual_seed(seed)).float()
    value = ssim(x, y)
    assert torch.allclose(value, ssim(y, x))
    assert -1 <= value.item() < 1
    assert ssim(x, x).item() == pytest.approx(1, abs=1e-9)


def test_uint8_images_and_floats_score_alike() -> None:
    image, true = pictures()
    for metric in (psnr, ssim, l1):
        assert torch.equal(metric(image.byte(), true.byte()), metric(image, true))


def test_images_that_do_not_fit_are_refused() -> None:
    image, true = pictures()
    with pytest.raises(DataError, match="shapes"):
        psnr(image[:2], true)
    with pytest.raises(DataError, match="no window of 11"):
        ssim(image[..., :8, :], true[..., :8, :])


# ---------------------------------------------------------------------------------------------------- LPIPS


@pytest.mark.parametrize("network", ["alexnet", "squeezenet1_1"])
def test_lpips_is_zero_on_equal_images_and_grows_with_damage(network: str) -> None:
    backbone = load_backbone(network, "seed")
    image, true = pictures(height=64, width=64)
    values = lpips(image, true, backbone)
    assert values.shape == (4,)
    assert torch.equal(lpips(true, true, backbone), torch.zeros(4, dtype=torch.float64))
    assert (values.diff() > 0).all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(lpips(image, true, backbone), values)


def test_lpips_without_heads_is_refused() -> None:
    image, true = pictures(height=64, width=64)
    with pytest.raises(WeightsError, match="no LPIPS heads"):
        lpips(image, true, load_backbone("vgg19", "seed"))


def lpips_of_torchmetrics(image: Tensor, true: Tensor, backbone: Backbone) -> Tensor:
    """torchmetrics builds its own network and brings its own heads; only the feature weights are shared."""
    from torchmetrics.functional.image.lpips import _LPIPS

    alexnet = backbone.name == "alexnet"
    judge = _LPIPS(net="alex" if alexnet else "squeeze", pnet_rand=True, use_dropout=True, eval_mode=True)
    features = backbone.features.state_dict()
    for key, parameter in judge.net.named_parameters():
        # slice3.6.weight, or slices.2.6.weight in SqueezeNet, is torchvision's features.6.weight
        parameter.data.copy_(features.pop(key.split(".", 1 if alexnet else 2)[-1]))
    assert not features
    return judge(image / 127.5 - 1, true / 127.5 - 1).view(-1).double()


@pytest.mark.parametrize("network", ["alexnet", "squeezenet1_1"])
def test_lpips_agrees_with_torchmetrics_on_drawn_features(network: str, tmp_path: Path) -> None:
    drawn = load_backbone(network, "seed")
    state = {f"features.{key}": value for key, value in drawn.features.state_dict().items()}
    save_file(state | _published_heads(type(drawn)), tmp_path / f"{network}.safetensors")
    backbone = load_backbone(network, tmp_path)
    image, true = pictures(height=64, width=80)
    expected = lpips_of_torchmetrics(image, true, backbone)
    assert expected.max() > 0.01
    assert torch.allclose(lpips(image, true, backbone), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.realdata
@pytest.mark.parametrize("network", ["alexnet", "squeezenet1_1"])
def test_lpips_agrees_with_torchmetrics_on_trained_features(realdata: Path, network: str) -> None:
    backbone = load_backbone(network, realdata / "weights")
    image, true = pictures(height=64, width=80)
    expected = lpips_of_torchmetrics(image, true, backbone)
    assert expected.max() > 0.3
    assert torch.allclose(lpips(image, true, backbone), expected, atol=1e-5)


@pytest.mark.realdata
def test_lpips_of_its_authors_reference_pictures(realdata: Path) -> None:
    """The authors print 0.722 and 0.138 for imgs/ex_ref.png against ex_p0.png and ex_p1.png."""
    folder = realdata / "lpips-reference"
    if not (folder / "ex_ref.png").is_file():
        pytest.skip(f"no {folder}: put imgs/ex_*.png of github.com/richzhang/PerceptualSimilarity there")
    batch = [
        torch.from_numpy(np.array(Image.open(folder / f"ex_{name}.png").convert("RGB"))).permute(2, 0, 1)[None]
        for name in ("ref", "p0", "p1")
    ]
    backbone = load_backbone("alexnet", realdata / "weights")
    found = lpips(torch.cat(batch[1:]), batch[0].expand(2, -1, -1, -1), backbone)
    assert found.tolist() == pytest.approx([0.722, 0.138], abs=6e-4)


# --------------------------------------------------------------------------------------- Frechet distance, KID


def stats(mean: np.ndarray, covariance: np.ndarray) -> FeatureStats:
    """Statistics with exactly this mean and covariance."""
    width = len(mean)
    root = np.linalg.cholesky(covariance)
    whitened = np.concatenate([np.eye(width), -np.eye(width)]) * math.sqrt((2 * width - 1) / 2)
    return FeatureStats().update(whitened @ root.T + mean)


def test_eq30_frechet_distance_in_closed_form() -> None:
    rng = np.random.default_rng(0)
    mean_a, mean_b = rng.normal(size=(2, 6))
    factor = rng.normal(size=(6, 6))
    shared = factor @ factor.T + np.eye(6)
    # Equal covariances leave the squared distance of the means.
    distance = frechet_distance(stats(mean_a, shared), stats(mean_b, shared))
    assert distance == pytest.approx(((mean_a - mean_b) ** 2).sum(), abs=1e-9)
    # Diagonal ones add the squared differences of the standard deviations.
    std_a, std_b = rng.uniform(0.5, 2, size=(2, 6))
    a, b = stats(mean_a, np.diag(std_a**2)), stats(mean_b, np.diag(std_b**2))
    expected = ((mean_a - mean_b) ** 2).sum() + ((std_a - std_b) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-9)
    # The formula as the patent prints it is another number, and not zero for equal sets.
    product = (std_a * std_b) ** 2
    printed = np.linalg.norm(mean_a - mean_b) + (product - 2 * np.sqrt(product)).sum()
    assert frechet_distance(a, b, literal=True) == pytest.approx(printed, abs=1e-9)
    assert abs(frechet_distance(a, a, literal=True)) > 0.1


@needs_cleanfid
def test_frechet_distance_agrees_with_clean_fid() -> None:
    from cleanfid import fid

    x, y = features(300, 24, seed=1), features(200, 24, seed=2, shift=0.4)
    ours = frechet_distance(FeatureStats().update(x), FeatureStats().update(y))
    assert ours > 0.1
    assert ours == pytest.approx(fid.fid_from_feats(x.astype(np.float64), y.astype(np.float64)), abs=1e-6)


def frechet_of_few(x: np.ndarray, y: np.ndarray) -> float:
    """The same distance by another road: the trace as the nuclear norm of the product of centred features."""
    cx, cy = (x - x.mean(0)) / math.sqrt(len(x) - 1), (y - y.mean(0)) / math.sqrt(len(y) - 1)
    trace = np.linalg.svd(cx @ cy.T, compute_uv=False).sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + (cx**2).sum() + (cy**2).sum() - 2 * trace)


def test_frechet_distance_with_fewer_images_than_features() -> None:
    x, y = features(12, 40, seed=1).astype(np.float64), features(15, 40, seed=2, shift=0.3).astype(np.float64)
    ours = frechet_distance(FeatureStats().update(x), FeatureStats().update(y))
    assert ours == pytest.approx(frechet_of_few(x, y), abs=1e-6)
    assert frechet_distance(FeatureStats().update(x), FeatureStats().update(x)) == pytest.approx(0, abs=1e-6)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 1))
def test_feature_stats_do_not_depend_on_batches(sizes: list[int]) -> None:
    x = features(sum(sizes), 5, seed=3) + 1000  # far from zero, where sums of squares lose their digits
    accumulated = FeatureStats()
    for batch in np.split(x, np.cumsum(sizes)[:-1]):
        accumulated.update(torch.from_numpy(batch))
    assert accumulated.count == len(x)
    assert np.allclose(accumulated.mean, x.astype(np.float64).mean(0), rtol=1e-12)
    assert np.allclose(accumulated.covariance, np.cov(x.astype(np.float64), rowvar=False), atol=1e-8)


def test_two_features_are_enough() -> None:
    assert FeatureStats().update(np.array([[0.0], [2.0]])).covariance.item() == 2


def test_bad_features_are_refused() -> None:
    with pytest.raises(DataError, match="finite"):
        FeatureStats().update(np.full((3, 2), np.nan))
    with pytest.raises(DataError, match="width 3 after width 2"):
        FeatureStats().update(np.zeros((3, 2))).update(np.zeros((3, 3)))
    with pytest.raises(DataError, match="at least two"):
        _ = FeatureStats().update(np.zeros((1, 2))).covariance
    with pytest.raises(DataError, match="widths 2 and 3"):
        frechet_distance(FeatureStats().update(np.eye(2)), FeatureStats().update(np.eye(3)))
    with pytest.raises(DataError, match="kernel distance"):
        kid(np.zeros((1, 2)), np.zeros((5, 2)))


def test_kid_is_the_unbiased_estimate_written_out() -> None:
    x, y = features(7, 4, seed=1).astype(np.float64), features(5, 4, seed=2, shift=1).astype(np.float64)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / 4 + 1) ** 3

    expected = sum(kernel(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / 42
    expected += sum(kernel(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
    expected -= 2 * sum(kernel(a, b) for a in x for b in y) / 35
    assert kid(x, y) == pytest.approx(expected, rel=1e-12)


def test_kid_in_blocks_is_kid_at_once() -> None:
    x, y = features(2300, 6, seed=1), features(1100, 6, seed=2, shift=0.2)
    wide, tall = x.astype(np.float64), y.astype(np.float64)

    def mean_kernel(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        k = (a @ b.T / 6 + 1) ** 3
        return (k.sum() - k.trace()) / (len(a) * (len(a) - 1)) if same else k.mean()

    expected = mean_kernel(wide, wide, True) + mean_kernel(tall, tall, True) - 2 * mean_kernel(wide, tall, False)
    assert kid(x, y) == pytest.approx(expected, rel=1e-9)


def repaired(faces: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of pairs of one distribution, two of each face, each near its own original as repaired pictures are."""
    shows = np.repeat(np.arange(faces), 2)
    own = features(faces, 8, seed=seed).astype(np.float64)[shows]
    return (
        own + 0.3 * features(2 * faces, 8, seed=seed + 1).astype(np.float64),
        own + 0.3 * features(2 * faces, 8, seed=seed + 2).astype(np.float64),
        shows,
    )


def test_kid_between_faces_is_the_loop_over_pictures_of_different_faces() -> None:
    x, y, shows = repaired(4, 1)
    terms = []
    for a, b in ((x, x), (y, y), (x, y)):
        pairs = [(i, j) for i in range(8) for j in range(8) if shows[i] != shows[j]]
        terms.append(np.mean([(a[i] @ b[j] / 8 + 1) ** 3 for i, j in pairs]))
    assert kid(x, y, shows=shows) == pytest.approx(terms[0] + terms[1] - 2 * terms[2], rel=1e-12)
    names = [f"face {i}" for i in shows]
    assert kid(x, y, shows=names) == kid(x, y, shows=shows)


def test_pictures_near_their_originals_bias_the_plain_kid_and_not_the_one_between_faces() -> None:
    draws = [repaired(15, 3 * i) for i in range(200)]
    plain = np.array([kid(x, y) for x, y, _ in draws])
    between = np.array([kid(x, y, shows=shows) for x, y, shows in draws])
    assert abs(between.mean()) < 3 * between.std() / math.sqrt(len(draws))
    assert plain.mean() < -10 * abs(between.mean())


@pytest.mark.parametrize("shows", [[0, 0, 0], [0, 1], [[0, 1, 2]]])
def test_kid_between_faces_needs_a_face_for_each_pair_and_two_of_them(shows: list[int]) -> None:
    x = features(3, 4, seed=1)
    with pytest.raises(DataError, match="at least two faces"):
        kid(x, x, shows=shows)
    with pytest.raises(DataError, match="at least two faces"):
        kid(x, x, shows=[0, 1, 2], subsets=3)


def test_an_interval_of_groups_counts_each_by_its_size() -> None:
    values, counts = np.array([20.0, 24.0, 28.0, 22.0]), np.array([5, 1, 1, 3])
    plain, even, sized = (bootstrap_interval(values, counts=c) for c in (None, np.full(4, 6), counts))
    assert plain == even
    mean = (values * counts).sum() / counts.sum()
    assert sized[0] <= mean <= sized[1]
    draws = np.random.default_rng(0).integers(0, 4, (1000, 4))
    means = np.sort([(values[d] * counts[d]).sum() / counts[d].sum() for d in draws])
    assert sized == (means[24], means[974])


@needs_cleanfid
def test_kid_agrees_with_clean_fid(seeded: torch.Generator) -> None:
    from cleanfid import fid

    x, y = features(90, 16, seed=1).astype(np.float64), features(90, 16, seed=2, shift=0.3).astype(np.float64)
    # Subsets as large as the sets are the sets, whatever is drawn.
    assert kid(x, y) == pytest.approx(fid.kernel_distance(x, y, num_subsets=2), rel=1e-9)
    # Smaller ones differ by chance only.
    ours, theirs = kid(x, y, subsets=400, subset_size=40), fid.kernel_distance(x, y, 400, 40)
    assert ours == pytest.approx(theirs, rel=0.1)
    assert ours == kid(x, y, subsets=400, subset_size=40)


def test_kid_of_one_distribution_is_zero_on_average_where_frechet_is_not() -> None:
    draws = [(features(30, 8, seed=2 * i), features(30, 8, seed=2 * i + 1)) for i in range(200)]
    values = np.array([kid(x, y) for x, y in draws])
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(len(values))
    biased = [frechet_distance(FeatureStats().update(x), FeatureStats().update(y)) for x, y in draws]
    assert min(biased) > 0


def test_frechet_features_are_the_averaged_relu5() -> None:
    backbone = load_backbone("alexnet", "seed")
    image, true = pictures(height=64, width=64)
    found = frechet_features(image, backbone)
    assert found.shape == (4, 256)
    expected = backbone(image / 127.5 - 1)["relu5"].mean(dim=(2, 3))
    assert torch.allclose(found, expected)
    assert not torch.allclose(found, frechet_features(true, backbone))


# ----------------------------------------------------------------------------------------- FID by clean-fid


class StandIn(nn.Module):
    """Has the shape of the published program: ``layers`` from normalised pictures to 2048 features."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(13), nn.Flatten(), nn.Linear(3 * 23 * 23, 2048), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("inception") / "any name.pt"
    torch.jit.script(StandIn().eval()).save(str(path))
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("pictures.zip")  # a name that clean-fid alone would take for an archive
    for name, batch in zip(("ours", "true"), pictures(count=6), strict=True):
        (root / name).mkdir()
        for index, image in enumerate(batch):
            Image.fromarray(as_array(image)).save(root / name / f"{index}.png")
    return root / "ours", root / "true"


@needs_cleanfid
def test_fid_path_gives_what_clean_fid_gives(inception: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    from cleanfid import fid
    from cleanfid.inception_torchscript import InceptionV3W

    scores = fid_cleanfid(*folders, inception, batch_size=4)
    assert (scores.count_a, scores.count_b) == (6, 6)
    assert not scores.published  # the stand-in may not be called Inception
    assert len(scores.sha256) == 64

    shutil.copy(inception, tmp_path / "inception-2015-12-05.pt")
    model = InceptionV3W(str(tmp_path), download=False)
    cpu = torch.device("cpu")
    a, b = (
        fid.get_files_features(
            sorted(map(str, folder.glob("*.png"))), model, num_workers=0, device=cpu, verbose=False
        ).astype(np.float64)
        for folder in folders
    )
    assert scores.fid > 0.1
    assert scores.fid == pytest.approx(frechet_of_few(a, b), rel=1e-4)
    assert scores.kid == pytest.approx(fid.kernel_distance(a, b, num_subsets=1), rel=1e-4)


@needs_cleanfid
def test_fid_path_names_what_is_missing(inception: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no Inception file"):
        fid_cleanfid(*folders, tmp_path / "absent.pt")
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"not a program")
    with pytest.raises(WeightsError, match=r"damaged\.pt: not clean-fid's Inception"):
        fid_cleanfid(*folders, damaged)
    other = tmp_path / "other.pt"
    torch.jit.script(nn.Linear(2, 2)).save(str(other))
    with pytest.raises(WeightsError, match="not clean-fid's Inception"):
        fid_cleanfid(*folders, other)
    with pytest.raises(DataError, match="fewer than two PNG"):
        fid_cleanfid(folders[0], tmp_path, inception)


@needs_cleanfid
def test_fid_path_takes_two_pictures(inception: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("0.png", "1.png"):
        (tmp_path / name).write_bytes((folders[0] / name).read_bytes())
    assert fid_cleanfid(tmp_path, folders[1], inception).count_a == 2


# ------------------------------------------------------------------------------------------------- intervals


def test_bootstrap_interval_matches_the_normal_one_and_is_repeatable() -> None:
    values = np.random.default_rng(0).normal(20, 3, 400)
    low, high = bootstrap_interval(values, n=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)
    assert (low, high) == bootstrap_interval(torch.from_numpy(values), n=4000)
    assert (low, high) != bootstrap_interval(values, n=4000, seed=1)
    assert bootstrap_interval(values) == bootstrap_interval(values, n=1000, seed=0)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_bootstrap_interval_lies_within_the_values(values: list[float]) -> None:
    low, high = bootstrap_interval(values, n=50)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_bootstrap_interval_carries_infinity_and_refuses_nothing() -> None:
    assert bootstrap_interval([30.0, math.inf, 20.0])[1] == math.inf
    with pytest.raises(DataError, match="one value per image"):
        bootstrap_interval([])
    with pytest.raises(DataError, match="one value per image"):
        bootstrap_interval(np.zeros((2, 2)))


def test_without_clean_fid_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inception.pt").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "cleanfid", None)
    with pytest.raises(WeightsError, match="clean-fid is not installed") as caught:
        metrics.fid_cleanfid(tmp_path, tmp_path, tmp_path / "inception.pt")
    assert "pip install" in caught.value.remedy


def test_subsets_of_the_kernel_distance_hold_a_thousand_and_follow_seed_zero() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(1003, 2)), rng.normal(size=(1002, 2)) + 0.1
    found = kid(x, y, subsets=1)
    assert found == kid(x, y, subsets=1, subset_size=1000, seed=0)
    assert found != kid(x, y, subsets=1, subset_size=1001)
    assert found != kid(x, y, subsets=1, seed=1)
