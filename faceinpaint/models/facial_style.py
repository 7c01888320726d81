"""The generator of CN113298736A, in the order in which the patent tells it.

    step 1  style matrix        StyleExtractNet, style_pool, style_matrix
    step 2  affine parameters   style_pairs, AdaptiveFusion
    step 3  encoder and repair  Encoder, RegionNorm, RegionRepair
    step 4  decoder             Decoder
            all together        FacialStyle

A damaged face is read twice. The style network turns it into one 256-number *style* for each facial region and one
for the whole face. A U-Net encodes it, and each of its four skip connections passes through a repair module, which
normalises the features and then scales and shifts those of the *damaged* regions by what the styles say.

The patent contradicts itself in places; the defaults are the readings that make it work, the other readings are
options of :class:`FacialStyle`. Source of the parts it does not specify: style pooling by region area and an
encoder that starts with a stride-1 layer from SEAN (Zhu et al., CVPR 2020), N(0, 0.02) initialisation from
EdgeConnect (Nazeri et al., 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint.errors import ConfigError
from faceinpaint.models import Output, check_halvings
from faceinpaint.models.region_affine import RegionAffine, region_affine
from faceinpaint.options import Fusion, Heads, Norm, Other, Pooling, Reading, Statistics, StyleUps, check_word
from faceinpaint.regions import REGIONS, damaged_regions, resize_regions

STYLE_DIM = 256
"""Rows of the style matrix."""

# The patent counts 5 encoder layers of "stride 1" and 4 upsamplings, but 5 upsampling equations. Each reading gives
# up one of the statements: R1 keeps the counts (the first layer is the one of stride 1), R2 keeps the equations
# (every layer halves), R3 keeps the counts with the last layer of stride 1.
ENCODER_STRIDES = {"R1": (1, 2, 2, 2, 2), "R2": (2, 2, 2, 2, 2), "R3": (2, 2, 2, 2, 1)}
STYLE_STRIDES = {"R1": (1, 2, 2, 2), "R2": (2, 2, 2, 2), "R3": (2, 2, 2, 1)}


def down(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """DownSampleModule of the patent ([0013]): 3x3 convolution, instance normalisation, LeakyReLU.

    >>> down(3, 8, stride=2)(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 8, 8, 8])
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1),
        nn.InstanceNorm2d(outputs),
        nn.LeakyReLU(0.2),
    )


def up(inputs: int, outputs: int, resize: bool = True) -> nn.Sequential:
    """UpSampleModule of the patent ([0013]): 4x4 transposed convolution of stride 2, instance normalisation, LeakyReLU.

    ``resize=False`` gives the size-keeping first layer that reading R3 needs (3x3, stride 1).

    >>> up(8, 4)(torch.zeros(1, 8, 4, 4)).shape
    torch.Size([1, 4, 8, 8])
    """
    conv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1) if resize else nn.ConvTranspose2d(inputs, outputs, 3, 1, 1)
    return nn.Sequential(conv, nn.InstanceNorm2d(outputs), nn.LeakyReLU(0.2))


# --- step 1: the style matrix ---------------------------------------------------------------------------------------


class StyleExtractNet(nn.Module):
    """Style extraction network: damaged face (B, 3, H, W) -> style features F_s (B, 256, h, w). Eq. (1).

    Four layers down, three up (a bottleneck). Under readings R1 and R3 the features have the size of the face.

    Args:
        width: channels of the first layer; the layers are 1, 2, 4, 4 times as wide, 256 at the end.
        reading: layer reading, see ``ENCODER_STRIDES``.
        ups: 3 as in the patent; 2 pools the styles one scale earlier and saves most of the cost at small widths.

    >>> StyleExtractNet(width=4)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 256, 32, 32])
    """

    def __init__(self, width: int = 64, reading: Reading = "R1", ups: int = 3) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 4 * width)
        self.down = nn.Sequential(
            *(down(i, o, s) for i, o, s in zip((3, *widths), widths, STYLE_STRIDES[reading], strict=False))
        )
        outputs = (*[4 * width] * (ups - 1), STYLE_DIM)
        self.up = nn.Sequential(*(up(i, o) for i, o in zip((4 * width, *outputs), outputs, strict=False)))

    def forward(self, damaged: Tensor) -> Tensor:
        """Damaged face (B, 3, H, W) in [-1, 1], zero in the hole -> style features F_s (B, 256, h, w)."""
        return self.up(self.down(damaged))


def style_pool(
    features: Tensor, regions: Tensor, n: int = len(REGIONS), hole: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""Average the style features over each region and over the whole face.

    .. math::
        s_i^{local} = \frac{\sum F_s \otimes S_i}{\sum S_i}, \qquad
        s^{global} = \frac{\sum F_s \otimes \sum_i S_i}{\sum \sum_i S_i}

    Local styles: Eq. (2), global style: Eq. (3). The patent's AvgPool divides by the area of the picture, which would
    make a small region's style small; here, as in SEAN, by the area of the region. An empty region has a zero style.

    Args:
        features: F_s (B, C, h, w).
        regions: parsing map (B, H, W), 0 = other, 1..n; resized to (h, w) by nearest neighbour.
        hole: if given, (B, 1, H, W), 1 = hole: only known pixels are averaged, and a region without any takes the
            global style.

    Returns:
        local styles (B, n, C) and the global style (B, C).

    >>> local, whole = style_pool(torch.ones(1, 256, 4, 4), torch.ones(1, 8, 8, dtype=torch.uint8))
    >>> local.shape, whole.shape
    (torch.Size([1, 8, 256]), torch.Size([1, 256]))
    """
    size = features.shape[-2:]
    labels = resize_regions(regions, size).flatten(1)
    names = torch.arange(1, n + 1, device=labels.device, dtype=labels.dtype)
    members = (labels[:, None] == names[:, None]).to(features.dtype)  # (B, n, hw)
    if hole is not None:
        members *= 1 - F.interpolate(hole.to(features.dtype), size=size, mode="nearest").flatten(2)
    # One product with the one-hot map sums every region of every image at once.
    sums = (features.flatten(2) @ members.transpose(1, 2)).transpose(1, 2)  # (B, n, C)
    area = members.sum(2, keepdim=True, dtype=torch.float32).to(features.dtype)  # (B, n, 1)
    local = sums / area.clamp(min=1)
    whole = sums.sum(1) / area.sum(1).clamp(min=1)
    if hole is not None:
        local = torch.where(area > 0, local, whole[:, None])
    return local, whole


def style_matrix(local: Tensor, whole: Tensor) -> Tensor:
    """Style matrix (B, 256, n + 1): one column a region, the last one the whole face. Eq. (4).

    >>> style_matrix(torch.zeros(1, 8, 256), torch.zeros(1, 256)).shape
    torch.Size([1, 256, 9])
    """
    return torch.cat([local, whole[:, None]], dim=1).transpose(1, 2)


class Reference(NamedTuple):
    """Another picture of the face, or of any, whose styles stand in for those that the damage has taken: a style has no
    place, so the network learns of it how a region looks, not where it is.

    Attributes:
        image: (B, 3, H, W) in [-1, 1], undamaged; of any size that the network takes.
        regions: its parsing map (B, H, W), 0 = other, 1..n.
        share: (B, n), how far the style of each region comes from there, 0 to 1; see :func:`lent_share`. A region that
            the reference does not show keeps its own.

    >>> Reference(torch.zeros(1, 3, 32, 32), torch.ones(1, 32, 32), torch.full((1, 8), 0.5)).share.shape
    torch.Size([1, 8])
    """

    image: Tensor
    regions: Tensor
    share: Tensor


class Lent(NamedTuple):
    """What a :class:`Reference` lends, once it has been read; the network need not be shown it again.

    Attributes:
        styles: its style matrix (B, 256, n + 1).
        share: (B, n), how far the style of each region comes from there, 0 to 1.

    >>> Lent(torch.zeros(1, 256, 9), torch.zeros(1, 8)).styles.shape
    torch.Size([1, 256, 9])
    """

    styles: Tensor
    share: Tensor


LITTLE, MUCH = 0.1, 0.5
"""Shares of a region's pixels that are known: up to the one its style comes from a reference, from the other on it is
its own, and mixed in proportion between them."""


def lent_share(regions: Tensor, hole: Tensor, n: int = len(REGIONS)) -> Tensor:
    """How far the style of each region is to come from a reference: the more, the less is left of it.

    Args:
        regions: parsing map of the damaged face (B, H, W), 0 = other, 1..n.
        hole: (B, 1, H, W), 1 = hole.
        n: number of regions.

    Returns:
        (B, n) float32: 1 where at most :data:`LITTLE` of a region is known, 0 where :data:`MUCH` or more is, or where
        there is no such region.

    >>> regions = torch.tensor([[[1, 1, 2, 2, 2, 2, 2, 2, 2, 2]]])
    >>> hole = torch.tensor([[[[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]]])
    >>> lent_share(regions, hole, n=3)
    tensor([[1.0000, 0.3125, 0.0000]])
    """
    size = region_sizes(regions, n)
    left = region_sizes(torch.where(hole[:, 0] > 0, 0, regions), n) / size.clamp(min=1)
    return ((MUCH - left) / (MUCH - LITTLE)).clamp(0, 1) * (size > 0)


def region_sizes(regions: Tensor, n: int = len(REGIONS)) -> Tensor:
    """Pixels of each region of a parsing map (B, H, W), 0 = other, 1..n: (B, n) int64.

    >>> region_sizes(torch.tensor([[[0, 1, 1, 3]]]), n=3)
    tensor([[2, 0, 1]])
    """
    return torch.stack([(regions == i).flatten(1).sum(1) for i in range(1, n + 1)], dim=1)


# --- step 2: affine parameters --------------------------------------------------------------------------------------


def style_pairs(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Pair each region's style with that of the whole face. Eq. (5).

    The patent writes the global style with an index i; there is only one, so it is broadcast.

    Args:
        matrix: style matrix (B, 256, n + 1).

    Returns:
        local and global styles, both (B, n, 256).

    >>> local, whole = style_pairs(torch.zeros(1, 256, 9))
    >>> local.shape, whole.shape
    (torch.Size([1, 8, 256]), torch.Size([1, 8, 256]))
    """
    columns = matrix.transpose(1, 2)
    return columns[:, :-1], columns[:, -1:].expand(-1, columns.shape[1] - 1, -1)


class AdaptiveFusion(nn.Module):
    r"""Scale and shift of every region from its pair of styles.

    .. math::
        \gamma_i = \sigma(\alpha_i^\gamma) L_i(s_i^{local}) + (1 - \sigma(\alpha_i^\gamma)) L_i'(s^{global})

    for the scale, Eq. (6), and likewise with :math:`\alpha_i^\beta` for the shift, Eq. (7). The weights alpha are
    learned, one number for each region and factor, and start at 0: both styles count half.

    Args:
        channels: channels of the layer to be scaled.
        n: number of regions.
        fusion: "learned"; "fixed" keeps both weights at one half; "local" and "global" use one style alone.
        heads: "separate" linear layers for the local and the global style, or one "shared" by both.

    >>> gamma, beta = AdaptiveFusion(16)(torch.zeros(1, 8, 256), torch.zeros(1, 8, 256))
    >>> gamma.shape, beta.shape
    (torch.Size([1, 8, 16]), torch.Size([1, 8, 16]))
    """

    def __init__(
        self, channels: int, n: int = len(REGIONS), fusion: Fusion = "learned", heads: Heads = "separate"
    ) -> None:
        super().__init__()
        self.fusion, self.heads = fusion, heads
        # Factor 0 is gamma, factor 1 is beta. One linear layer for each region: (2, n, 256, channels).
        self.weight = nn.Parameter(torch.empty(2, n, STYLE_DIM, channels).normal_(0, 0.02))
        self.bias = nn.Parameter(torch.zeros(2, n, channels))
        if heads == "separate":
            self.weight_global = nn.Parameter(torch.empty(2, n, STYLE_DIM, channels).normal_(0, 0.02))
            self.bias_global = nn.Parameter(torch.zeros(2, n, channels))
        if fusion == "learned":
            self.alpha = nn.Parameter(torch.zeros(2, n))

    def forward(self, local: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """Styles (B, n, 256), twice -> gamma and beta, both (B, n, channels)."""
        share = self.local_share()[:, :, None, None]
        weight, bias = self.weight, self.bias[:, :, None]
        of_local = local.transpose(0, 1) @ weight + bias  # (2, n, B, channels)
        if self.heads == "separate":
            weight, bias = self.weight_global, self.bias_global[:, :, None]
        of_whole = whole.transpose(0, 1) @ weight + bias
        gamma, beta = (share * of_local + (1 - share) * of_whole).transpose(1, 2)
        return gamma, beta

    def local_share(self) -> Tensor:
        """Weight of the local style, sigmoid(alpha), (2, n): row 0 for gamma, row 1 for beta."""
        if self.fusion == "learned":
            return torch.sigmoid(self.alpha)
        share = {"fixed": 0.5, "local": 1.0, "global": 0.0}[self.fusion]
        return torch.full(self.bias.shape[:2], share, device=self.bias.device, dtype=self.bias.dtype)


# --- step 3: encoder and region repair ------------------------------------------------------------------------------


class Encoder(nn.Module):
    """Encoder: five layers; the outputs of the first four are the skip features. Eq. (8), Eq. (9), Eq. (10).

    Args:
        inputs: 3, or 4 with the hole mask as a channel.
        widths: channels of the five layers.
        reading: layer reading, see ``ENCODER_STRIDES``.

    >>> skips, abstract = Encoder(4, (4, 8, 16, 32, 32))(torch.zeros(1, 4, 64, 64))
    >>> [tuple(skip.shape[1:]) for skip in skips], tuple(abstract.shape[1:])
    ([(4, 64, 64), (8, 32, 32), (16, 16, 16), (32, 8, 8)], (32, 4, 4))
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], reading: Reading = "R1") -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            down(i, o, s) for i, o, s in zip((inputs, *widths), widths, ENCODER_STRIDES[reading], strict=False)
        )

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Damaged face -> skip features F_1^s..F_4^s, largest first, and the abstract feature F^m."""
        skips = []
        for layer in self.layers:
            x = layer(x)
            skips.append(x)
        return skips[:-1], skips[-1]


class RegionNorm(nn.Module):
    r"""Region normalisation (RegionNormBlock): normalise all, then scale and shift only the damaged regions.

    Instance normalisation :math:`\hat F = IN(F)`, Eq. (13). Then region by region, Eq. (14),

    .. math::
        F_i = \begin{cases} S_i \otimes (\hat F (1 + \gamma_i) + \beta_i) & \text{region } i \text{ is damaged}\\
              S_i \otimes \hat F & \text{it is whole}\end{cases}

    and the sum over all regions, Eq. (15). The regions do not overlap, so the sum is a lookup: every pixel takes the
    gamma and beta of its label, and zeros if its region is whole.

    Args:
        channels: channels of the features.
        n: number of regions.
        mask_beta: True adds beta_i inside region i only. False is the patent to the letter: every damaged region's
            beta lands on every pixel.
        other: what becomes of pixels outside all regions: "pass" keeps them normalised, "zero" is the patent to the
            letter. ("own", a region of their own, is made by :class:`FacialStyle`, which relabels them.)
        statistics: mean and variance over the "whole" map, or over "valid" pixels only.
        affine: False leaves plain instance normalisation: gamma and beta are not used (an ablation).
        fusion, heads: see :class:`AdaptiveFusion`.

    >>> norm, regions = RegionNorm(16), torch.ones(1, 8, 8, dtype=torch.uint8)
    >>> hole, damaged = torch.ones(1, 1, 8, 8), torch.ones(1, 9, dtype=torch.bool)
    >>> norm(torch.zeros(1, 16, 8, 8), torch.zeros(1, 256, 9), regions, hole, damaged).shape
    torch.Size([1, 16, 8, 8])
    """

    def __init__(
        self, channels: int, n: int = len(REGIONS), *, mask_beta: bool = True, other: Other = "pass",
        statistics: Statistics = "whole", affine: bool = True, fusion: Fusion = "learned", heads: Heads = "separate",
    ) -> None:  # fmt: skip
        super().__init__()
        self.mask_beta, self.other, self.statistics = mask_beta, other, statistics
        self.fuse = AdaptiveFusion(channels, n, fusion, heads) if affine else None

    def forward(self, x: Tensor, matrix: Tensor, regions: Tensor, hole: Tensor, damaged: Tensor) -> Tensor:
        """Normalise features.

        Args:
            x: features (B, C, h, w).
            matrix: style matrix (B, 256, n + 1).
            regions: parsing map at the size of x (B, h, w), 0..n.
            hole: hole mask at the size of x (B, 1, h, w).
            damaged: which regions are damaged (B, n + 1), column 0 = other.

        Returns:
            features (B, C, h, w).
        """
        batch, channels = x.shape[:2]
        if self.fuse is None:
            gamma = beta = x.new_zeros(batch, damaged.shape[1], channels)
        else:
            gamma, beta = self.fuse(*style_pairs(matrix))
            flags = damaged[:, 1:, None].to(gamma.dtype)
            gamma, beta = F.pad(gamma * flags, (0, 0, 1, 0)), F.pad(beta * flags, (0, 0, 1, 0))
            if self.other == "zero":
                gamma = torch.cat([gamma[:, :1] - 1, gamma[:, 1:]], dim=1)  # 1 + gamma = 0 for label 0
            if not self.mask_beta:
                beta = beta.sum(1, keepdim=True).expand_as(beta)
        weight = None
        if self.statistics == "valid":
            weight = 1 - hole.flatten(1).to(torch.float32)
            weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, 1.0)  # nothing known: take all
        labels = regions.flatten(1)
        if torch.is_grad_enabled():
            return RegionAffine.apply(x, gamma, beta, labels, weight, 1e-5)
        return region_affine(x, gamma, beta, labels, weight)[0]


class RegionRepair(nn.Module):
    r"""Facial region repair module on one skip connection (RegionInpaintModule), Eq. (11).

    Branch two, the boundary gate: 1x1 convolution, region normalisation, sigmoid, Eq. (12).
    Branch one, the repaired features: region normalisation and 3x3 convolution, Eq. (16); LeakyReLU and region
    normalisation, Eq. (17). Their product is the repaired skip connection, Eq. (18).

    The patent calls the second branch a "boundary residual", but multiplies by it: it is a gate.

    >>> module, regions = RegionRepair(16), torch.ones(1, 8, 8, dtype=torch.uint8)
    >>> hole, damaged = torch.ones(1, 1, 8, 8), torch.ones(1, 9, dtype=torch.bool)
    >>> module(torch.zeros(1, 16, 8, 8), torch.zeros(1, 256, 9), regions, hole, damaged).shape
    torch.Size([1, 16, 8, 8])
    """

    def __init__(self, channels: int, n: int = len(REGIONS), **options) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm_gate = RegionNorm(channels, n, **options)
        self.norm_in = RegionNorm(channels, n, **options)
        self.norm_out = RegionNorm(channels, n, **options)

    def forward(self, skip: Tensor, matrix: Tensor, regions: Tensor, hole: Tensor, damaged: Tensor) -> Tensor:
        """Skip features (B, C, h, w) -> repaired features of the same shape; ``regions`` and ``hole`` at full size."""
        size = skip.shape[-2:]
        at = (matrix, resize_regions(regions, size), F.interpolate(hole, size=size, mode="nearest"), damaged)
        gate = torch.sigmoid(self.norm_gate(self.conv1(skip), *at))
        middle = self.conv3(self.norm_in(skip, *at))
        repaired = self.norm_out(F.leaky_relu(middle, 0.2), *at)
        return repaired * gate


# --- step 4: decoder ------------------------------------------------------------------------------------------------


class Decoder(nn.Module):
    """Decoder: from the abstract feature and the repaired skip features to the repaired face.

    First upsampling, Eq. (19); then each upsampling takes the previous one's output joined with a repaired skip
    feature, deepest first, Eq. (20); a 3x3 convolution and tanh give the picture, Eq. (21).

    The patent joins the feature before the gate, which would leave the gate and the repair module unused; its text
    says the repaired skip connection, and so does this. Under R1 the last (full-size) skip joins before the output
    convolution, since nothing is left to upsample.

    >>> skips = [torch.zeros(1, c, s, s) for c, s in ((4, 64), (8, 32), (16, 16), (32, 8))]
    >>> Decoder((4, 8, 16, 32, 32))(torch.zeros(1, 32, 4, 4), skips).shape
    torch.Size([1, 3, 64, 64])
    """

    def __init__(self, widths: tuple[int, ...], reading: Reading = "R1", bounded: bool = True) -> None:
        super().__init__()
        self.bounded = bounded
        w1, w2, w3, w4, wm = widths
        plan = [(wm, w4), (w4 + w4, w3), (w3 + w3, w2), (w2 + w2, w1)]
        if reading != "R1":
            plan.append((w1 + w1, w1))
        self.ups = nn.ModuleList(up(i, o, resize=reading != "R3" or k > 0) for k, (i, o) in enumerate(plan))
        self.conv = nn.Conv2d(w1 + w1 if reading == "R1" else w1, 3, 3, padding=1)

    def forward(self, abstract: Tensor, skips: list[Tensor]) -> Tensor:
        """F^m and repaired skips, largest first -> picture (B, 3, H, W) in [-1, 1], any number if not bounded."""
        x = self.ups[0](abstract)
        deepest_first = skips[::-1]
        for layer, skip in zip(self.ups[1:], deepest_first, strict=False):
            x = layer(torch.cat([x, skip], dim=1))
        if len(self.ups) == len(skips):  # R1: one skip is left
            x = torch.cat([x, deepest_first[-1]], dim=1)
        picture = self.conv(x)
        return torch.tanh(picture) if self.bounded else picture


# --- all together ---------------------------------------------------------------------------------------------------


class FacialStyle(nn.Module):
    """The generator of the patent: ``generator(image, hole, regions) -> Output``.

    Args:
        width: channels of the first encoder layer; the five layers are 1, 2, 4, 8, 8 times as wide.
        style_width: channels of the first style layer (1, 2, 4, 4 times, then 256); None for ``width``.
        style_ups: upsampling layers of the style network, 3 as in the patent or 2 (styles pooled one scale earlier).
        n: number of regions N; 8 in the patent, which allows more; 1 with a map of ones is "no map".
        reading: layer reading "R1", "R2" or "R3" (see ``ENCODER_STRIDES``).
        mask_channel: the encoder sees the hole mask as a fourth channel (the patent does not say).
        pooling: styles averaged over "all" pixels of a region, hole included (the patent), or "valid" ones only.
        other: pixels outside all regions "pass", become "zero" (the letter), or form a region of their "own".
        norm: "region" as in the patent; "instance": the repair module without any affine (an ablation); "none": neither
            style network nor repair module, which leaves a plain U-Net (an ablation).
        mask_beta, statistics: see :class:`RegionNorm`.
        fusion, heads: see :class:`AdaptiveFusion`.
        from_start: the hole holds a start (:mod:`faceinpaint.models.start`): it is looked at, and the output is added
            to it, without tanh.

    Raises:
        ConfigError: an option has an unknown value.

    >>> network, regions = FacialStyle(width=4), torch.ones(1, 64, 64, dtype=torch.uint8)
    >>> image, hole = torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    >>> network(image, hole, regions).image.shape, network.styles(image, hole, regions).shape
    (torch.Size([1, 3, 64, 64]), torch.Size([1, 256, 9]))
    """

    def __init__(
        self, width: int = 64, *, style_width: int | None = None, style_ups: StyleUps = 3, n: int = len(REGIONS),
        reading: Reading = "R1", mask_channel: bool = True, pooling: Pooling = "all", other: Other = "pass",
        norm: Norm = "region", mask_beta: bool = True, statistics: Statistics = "whole", fusion: Fusion = "learned",
        heads: Heads = "separate", from_start: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        words = {
            "reading": reading, "pooling": pooling, "other": other, "norm": norm, "statistics": statistics,
            "style_ups": style_ups, "fusion": fusion, "heads": heads,
        }  # fmt: skip
        for name, value in words.items():
            check_word("facial-style option", name, value)
        self.n, self.mask_channel, self.pooling, self.other = n, mask_channel, pooling, other
        self.from_start = from_start
        self.halvings = ENCODER_STRIDES[reading].count(2)
        self.columns = regions = n + 1 if other == "own" else n
        widths = (width, 2 * width, 4 * width, 8 * width, 8 * width)
        self.style = None if norm == "none" else StyleExtractNet(style_width or width, reading, style_ups)
        self.encoder = Encoder(4 if mask_channel else 3, widths, reading)
        self.repair = nn.ModuleList(
            RegionRepair(
                channels, regions, mask_beta=mask_beta, other=other, statistics=statistics,
                affine=norm == "region", fusion=fusion, heads=heads,
            )
            for channels in widths[: 0 if norm == "none" else 4]
        )  # fmt: skip
        self.decoder = Decoder(widths, reading, bounded=not from_start)
        if self.style is not None and norm == "instance":
            self.style.requires_grad_(False)  # nothing uses its result; several devices would wait for its gradient
        for name, p in self.named_parameters():
            if p.dim() > 1 and not name.endswith(("bias", "bias_global", "alpha")):
                nn.init.normal_(p, 0, 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def styles(self, damaged: Tensor, hole: Tensor, regions: Tensor) -> Tensor:
        """Style matrix of a damaged face.

        Args:
            damaged: face (B, 3, H, W) in [-1, 1], zero in the hole, or with its start there.
            hole: hole mask (B, 1, H, W), 1 = hole.
            regions: parsing map (B, H, W), 0 = other, 1..n.

        Returns:
            Styles (B, 256, n + 1), a column for each region, and the last for the whole face. With ``other="own"``
            (B, 256, n + 2), the last but one for the pixels outside all regions.

        Raises:
            ConfigError: it was built without a style network.
        """
        if self.style is None:
            raise ConfigError("this network has no styles: it was built with norm=none", "Use another")
        known = hole if self.pooling == "valid" else None
        return style_matrix(*style_pool(self.style(damaged), self._numbered(regions), self.columns, known))

    def _numbered(self, regions: Tensor) -> Tensor:
        """The map as the modules read it: where pixels outside all regions form one of their own, it is the last."""
        return torch.where(regions == 0, self.n + 1, regions) if self.other == "own" else regions

    def read(self, reference: Reference) -> Lent:
        """What a reference lends: a region that it does not show, nothing."""
        styles = self.styles(reference.image, torch.zeros_like(reference.image[:, :1]), reference.regions)
        return Lent(styles, reference.share * (region_sizes(reference.regions, self.n) > 0))

    def borrowed(self, matrix: Tensor, lent: Lent) -> Tensor:
        """A style matrix with the columns of the regions, as far as they are lent, from elsewhere."""
        share = F.pad(lent.share, (0, matrix.shape[2] - self.n))
        return torch.lerp(matrix, lent.styles, share[:, None].to(matrix.dtype))

    def forward(
        self, image: Tensor, hole: Tensor, regions: Tensor, reference: Reference | Lent | None = None
    ) -> Output:
        """Repair a face.

        Args:
            image: photograph (B, 3, H, W) in [-1, 1], H and W multiples of 16 and one of them larger (under R2 of
                32); what lies under the hole is blanked first, unless it is a start.
            hole: hole mask (B, 1, H, W), 1 = hole.
            regions: parsing map (B, H, W), 0 = other, 1..n. The patent takes it from the undamaged photograph.
            reference: lends styles, or what it lends (:meth:`read`); None leaves every region its own.

        Returns:
            the repaired face, raw; see :func:`faceinpaint.models.composite`.

        Raises:
            ConfigError: there is a reference, and the network has no styles.
            DataError: the photograph has other sides.
        """
        check_halvings(image, self.halvings, least=2)  # normalising an abstract feature of one pixel leaves nothing
        damaged_face = image if self.from_start else image * (1 - hole)
        skips, abstract = self.encoder(torch.cat([damaged_face, hole], dim=1) if self.mask_channel else damaged_face)
        if self.style is not None or reference is not None:
            matrix = self.styles(damaged_face, hole, regions)
            if reference is not None:
                matrix = self.borrowed(matrix, reference if isinstance(reference, Lent) else self.read(reference))
            regions = self._numbered(regions)
            damaged = damaged_regions(regions, hole, matrix.shape[2] - 1)
            skips = [repair(s, matrix, regions, hole, damaged) for repair, s in zip(self.repair, skips, strict=True)]
        picture = self.decoder(abstract, skips)
        return Output(damaged_face + picture if self.from_start else picture)
