"""The rows of the table: what each is built of, what its losses hold, and which options it takes."""

from __future__ import annotations

import dataclasses
import inspect
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint import losses
from faceinpaint.backbones import NETWORKS, Backbone, load_backbone
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models import Output
from faceinpaint.models.discriminators import crop, local_window
from faceinpaint.models.start import Started, within
from faceinpaint.models.structure_first import grey, lines
from faceinpaint.presets import LAMBDAS, PRESETS, Preset, preset
from faceinpaint.regions import n_regions
from faceinpaint.training.methods import AS_PRINTED, METHODS, PARSER, SHARED, TRAINED, Method, method
from faceinpaint.training.objectives import TAPS, Batch, Step

pytestmark = pytest.mark.usefixtures("seeded")

TINY = preset("smoke", start="blank", width=8, critic_width=8, parser_width=4, baseline_scale=0.125)
BASELINES = ("context-encoder", "contextual-attention", "gated-conv")
LATER = ("structure-first", "similar-faces", "gated-conv-our-losses")
ADVERSARIAL = (*BASELINES, *LATER, "facial-style")
ALL = METHODS | {PARSER.name: PARSER}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- the rows -------------------------------------------------------------------------------------------------------


def test_rows_in_the_order_of_the_table() -> None:
    assert tuple(METHODS) == ("mean-fill", "telea", "membrane", *ADVERSARIAL)
    assert set(TRAINED) == {*ADVERSARIAL, "parser"}
    assert [m.title for m in METHODS.values()][3:] == [
        "CE", "CA", "DF2", "Structure first", "Similar faces", "DF2, our losses", "Ours",
    ]  # fmt: skip
    assert len({m.title for m in ALL.values()}) == len(ALL)
    for name, m in ALL.items():
        assert m.name == name
        assert method(name) is m


def test_an_unknown_method_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown method 'pix2pix'") as caught:
        method("pix2pix")
    assert all(name in caught.value.remedy for name in ALL)


def test_only_the_facial_style_generator_and_the_parser_need_the_map() -> None:
    assert [name for name, m in ALL.items() if m.uses_map] == ["facial-style", "parser"]
    assert [name for name, m in ALL.items() if m.perceptual] == [*LATER, "facial-style"]


@pytest.mark.parametrize(
    ("name", "lr", "critic_lr", "betas"),
    [
        ("context-encoder", 2e-3, 2e-4, (0.5, 0.999)),
        ("contextual-attention", 1e-4, 1e-4, (0.5, 0.9)),
        ("gated-conv", 1e-4, 1e-4, (0.5, 0.999)),
        ("structure-first", 1e-4, 1e-5, (0.0, 0.9)),
        ("similar-faces", 1e-4, 1e-5, (0.0, 0.9)),
        ("gated-conv-our-losses", 1e-4, 1e-4, (0.0, 0.9)),
        ("facial-style", 1e-4, 1e-4, (0.0, 0.9)),
    ],
)
def test_optimisers_of_the_papers(name: str, lr: float, critic_lr: float, betas: tuple[float, float]) -> None:
    m = METHODS[name]
    assert m.lr == lr
    assert m.lr * m.critic_lr == pytest.approx(critic_lr)
    assert m.betas == betas


def test_loss_weights_of_the_papers() -> None:
    assert METHODS["context-encoder"].options == {"reconstruction": 0.999, "adversarial": 0.001}
    assert METHODS["contextual-attention"].options == {
        "hole": 1.2, "known": 1.2, "adversarial": 0.001, "penalty": 10.0,
    }  # fmt: skip
    assert METHODS["gated-conv"].options == {"reconstruction": 1.0, "adversarial": 1.0}
    assert METHODS["gated-conv-our-losses"].options | {"like": "none"} == METHODS["facial-style"].options
    assert METHODS["similar-faces"].options == LAMBDAS | {"gan": "bce", "judge": "raw", "l1": "hole"}
    assert METHODS["structure-first"].options == LAMBDAS | {
        "lines": 1.0, "matching": 10.0, "gan": "bce", "judge": "raw", "l1": "hole",
    }  # fmt: skip
    assert METHODS["facial-style"].options == {
        "reconstruction": 1.0, "perceptual": 0.1, "style": 25.0, "adversarial": 0.1, "gan": "ragan",
        "judge": "composite", "l1": "hole", "like": "none",
    }  # fmt: skip
    assert METHODS["facial-style"].options | AS_PRINTED == {
        "reconstruction": 1.0, "perceptual": 0.1, "style": 250.0, "adversarial": 0.1, "gan": "ragan",
        "judge": "raw", "l1": "all", "like": "none",
    }  # fmt: skip


# --- building -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", PRESETS)
@pytest.mark.parametrize("name", ALL)
def test_every_method_builds_at_every_preset(name: str, scale: str) -> None:
    m, p = ALL[name], PRESETS[scale]
    with torch.device("meta"):
        generator = m.build(p, options=m.split_options({})[0])
        critic = m.critic(p) if m.critic is not None else None
    assert isinstance(within(generator), m.generator)
    assert isinstance(generator, Started) == (p.start != "blank" and name in TRAINED)
    assert (count(generator) > 0) == (name in TRAINED)
    assert (critic is not None) == (name in ADVERSARIAL)
    if critic is not None and scale == "smoke":
        assert count(generator) < 1e7
        assert count(critic) < 5e5


@pytest.mark.parametrize(
    ("name", "of_generator", "of_critic"),
    [
        ("context-encoder", 71_321_536, 2_831_232 + 64 * 64 * 16 + 2 * 64),
        ("contextual-attention", 3_601_542, 4_339_329 + 2_733_441),
        ("gated-conv", 4_052_478, 5_946_816),
        ("gated-conv-our-losses", 4_052_478, 2_763_776),
        ("similar-faces", 10_774_595 + 3 * 64 * 49 + 120_416, 2_763_776),
        ("structure-first", 10_761_089 + 10_774_595, 2_763_776 + 2_763_776 - 64 * 4 * 4),
        (
            "facial-style",
            3_910_784 + 576 + 9_703_747 + 3_483_520 + 23_685_120 + 192 + 4_107_392,
            2_763_776,
        ),
    ],
)
def test_methods_have_the_widths_of_their_papers_at_the_paper_preset(
    name: str, of_generator: int, of_critic: int
) -> None:
    with torch.device("meta"):
        assert count(METHODS[name].build(PRESETS["paper"])) == of_generator
        assert count(METHODS[name].critic(PRESETS["paper"])) == of_critic


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_have_their_full_width_at_the_gpu_preset_and_a_share_below(name: str) -> None:
    m = METHODS[name]
    with torch.device("meta"):
        counts = {
            scale: count(m.build(preset("gpu", baseline_scale=scale))) for scale in (1.0, 0.5, 0.25, 0.01)
        }  # fmt: skip
        assert counts[1.0] == count(m.build(PRESETS["gpu"])) == count(m.build(PRESETS["paper"]))
        smallest = count(m.critic(preset("gpu", baseline_scale=0.01)))
    assert counts[1.0] > 3 * counts[0.5] > 9 * counts[0.25]
    assert 0 < counts[0.01] < counts[0.25] / 3
    assert 0 < smallest < 1e5


def test_facial_style_at_the_gpu_preset_fits_25_megabytes_in_half_precision() -> None:
    with torch.device("meta"):
        generator = METHODS["facial-style"].build(PRESETS["gpu"])
    numbers = sum(t.numel() for t in generator.state_dict().values())
    assert numbers >= count(generator) > 8e6
    assert numbers * 2 < 25e6


@pytest.mark.parametrize("merge", ["regions", "accessories", "classes", "none"])
def test_number_of_regions_follows_the_merge(merge: str) -> None:
    assert METHODS["facial-style"].build(TINY, merge).n == n_regions(merge)
    assert PARSER.build(TINY, merge).score.out_channels == n_regions(merge) + 1


def test_options_of_the_generator_come_before_the_preset() -> None:
    with torch.device("meta"):
        plain = METHODS["facial-style"].build(TINY)
        chosen = METHODS["facial-style"].build(
            TINY, options={"heads": "separate", "mask_channel": False, "other": "own"}
        )
    assert count(chosen) > count(plain)
    assert not chosen.mask_channel
    assert chosen.columns == plain.columns + 1


# --- options --------------------------------------------------------------------------------------------------------


def test_options_are_told_apart() -> None:
    given = {"reading": "R2", "style": 100, "gan": "hinge", "mask_beta": False, "fusion": "local", "style_width": 12}
    model, loss = METHODS["facial-style"].split_options(given)
    assert model == {"reading": "R2", "mask_beta": False, "fusion": "local", "style_width": 12}
    assert loss == METHODS["facial-style"].options | {"style": 100.0, "gan": "hinge"}
    assert type(loss["style"]) is float
    assert METHODS["facial-style"].options["gan"] == "ragan"  # the defaults stay
    with torch.device("meta"):
        METHODS["facial-style"].build(TINY, options=model)


@pytest.mark.parametrize("name", ALL)
def test_defaults_are_accepted_as_they_are(name: str) -> None:
    m = ALL[name]
    assert m.split_options({}) == ({}, m.options)
    assert m.split_options(dict(m.options)) == ({}, m.options)
    if name in TRAINED:
        own = {
            n: p.default for n, p in inspect.signature(m.generator).parameters.items()
            if n not in ("n", "size", "from_start")
        }  # fmt: skip
        assert m.split_options(own) == (own, m.options)


def refused(m: Method, given: dict[str, Any], problem: str, *remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        m.split_options(given)
    assert problem in caught.value.problem
    for part in remedy:
        assert part in caught.value.remedy


def test_unknown_options_are_answered_with_the_known_ones() -> None:
    ours = METHODS["facial-style"]
    refused(ours, {"gann": "hinge"}, "facial-style has no option 'gann'", "reading", "mask_beta", "style", "judge")
    refused(METHODS["gated-conv"], {"style": 1.0}, "no option 'style'", "width, reconstruction, adversarial")
    for name in ("n", "size"):  # the merge and the preset decide these
        refused(ours, {name: 8}, f"no option {name!r}")
        refused(METHODS["context-encoder"], {name: 64}, f"no option {name!r}")
    for name in ("args", "kwargs", "self", "width"):
        refused(METHODS["mean-fill"], {name: 1}, f"mean-fill has no option {name!r}", "none")
    refused(METHODS["telea"], {"width": 1}, "telea has no option 'width'", "radius")


@pytest.mark.parametrize(
    ("name", "option", "value", "kind"),
    [
        ("facial-style", "style", "much", "float"),
        ("facial-style", "style", True, "float"),
        ("facial-style", "style", None, "float"),
        ("facial-style", "gan", 1, "str"),
        ("facial-style", "mask_beta", "false", "bool"),
        ("facial-style", "mask_beta", 0, "bool"),
        ("facial-style", "reading", 2, "str"),
        ("facial-style", "width", 8.5, "int"),
        ("facial-style", "width", None, "int"),
        ("facial-style", "style_width", "8", "int"),
        ("context-encoder", "bottleneck", "4000", "int"),
        ("contextual-attention", "penalty", [10], "float"),
        ("telea", "radius", "3", "float"),
    ],
)
def test_options_of_another_type_are_refused(name: str, option: str, value: Any, kind: str) -> None:
    refused(METHODS[name], {option: value}, f"{name} option {option} is {value!r}", f"type {kind}")


def test_options_out_of_range_are_refused() -> None:
    ours = METHODS["facial-style"]
    for value in (-0.1, math.nan, math.inf, -1):
        refused(ours, {"adversarial": value}, "option adversarial is", "from 0 up")
    assert ours.split_options({"adversarial": 0})[1]["adversarial"] == 0.0
    for value in (0, -8):
        refused(ours, {"width": value}, f"option width is {value}", "positive")
    refused(ours, {"gan": "wgan"}, "option gan is 'wgan'", "ragan, hinge, bce")
    refused(ours, {"judge": "both"}, "option judge is 'both'", "raw, composite")
    refused(ours, {"l1": "edge"}, "option l1 is 'edge'", "all, hole")
    refused(ours, {"like": "all"}, "option like is 'all'", "none, half")
    with pytest.raises(ConfigError, match="reading is 'R4'"):
        ours.build(TINY, options=ours.split_options({"reading": "R4"})[0])


@pytest.mark.parametrize("name", [n for n in METHODS if METHODS[n].generator_loss])
def test_a_method_without_any_loss_is_refused(name: str) -> None:
    """Nothing would be left to train for; one weight above zero is enough."""
    off = dict.fromkeys((n for n, v in METHODS[name].options.items() if type(v) is float), 0.0)
    refused(METHODS[name], off, f"all loss weights of {name} are zero", "above zero")
    for option in off:
        assert METHODS[name].split_options(off | {option: 0.5})[1][option] == 0.5


# --- losses ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(TINY.backbone, "seed")


def batch(size: int = TINY.size, images: int = 3) -> Batch:
    """Images, holes that touch every region, and maps of nine regions in tiles."""
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(images, 3, size, size, generator=generator) * 2 - 1
    hole = torch.zeros(images, 1, size, size)
    for b in range(images):
        hole[b, 0, 6 + 3 * b : size - 8, 9 : size - 9 - 4 * b] = 1
    tile = size // 3
    regions = torch.zeros(images, size, size, dtype=torch.uint8)
    for i in range(9):
        regions[:, i // 3 * tile : (i // 3 + 1) * tile, i % 3 * tile : (i % 3 + 1) * tile] = i
    return Batch(image, hole, regions, torch.rand(images, 1, 1, 1, generator=generator))


def scene(m: Method, backbone: Backbone | None, **options: Any) -> tuple[nn.Module, Step]:
    """A generator with fresh weights and what its losses see after one pass."""
    model, loss = m.split_options(options)
    generator, critic = m.build(TINY, options=model), m.critic(TINY) if m.critic is not None else None
    b = batch()
    output = generator(b.image, b.hole, b.regions)
    return generator, Step(b, output, critic, backbone if m.perceptual else None, torch.mean, loss)


OF_LINES = ("lines", "matching")
"""Terms of what the first network of structure-first draws."""

TERMS = {
    "context-encoder": ({"reconstruction", "adversarial"}, {"critic"}),
    "contextual-attention": ({"hole", "known", "adversarial"}, {"critic", "penalty"}),
    "gated-conv": ({"reconstruction", "adversarial"}, {"critic"}),
    "structure-first": ({*LAMBDAS, *OF_LINES}, {"critic", "critic of lines"}),
    "similar-faces": (set(LAMBDAS), {"critic"}),
    "gated-conv-our-losses": (set(LAMBDAS), {"critic"}),
    "facial-style": ({"reconstruction", "perceptual", "style", "adversarial"}, {"critic"}),
    "parser": ({"cross_entropy"}, None),
}


@pytest.mark.parametrize("name", TRAINED)
def test_generator_loss_trains_the_whole_generator(name: str, backbone: Backbone) -> None:
    generator, s = scene(ALL[name], backbone)
    if s.critic is not None:
        s.critic.requires_grad_(False)  # as in training
    terms = ALL[name].generator_loss(s)
    assert terms.keys() == TERMS[name][0]
    for term, value in terms.items():
        assert value.shape == (), term
        assert value.isfinite(), term
        made = s.output.structure if term in OF_LINES else s.output.image
        (gradient,) = torch.autograd.grad(value, made, retain_graph=True)
        assert gradient.abs().sum() > 0, term
    sum(terms.values()).backward()
    for parameter_name, p in generator.named_parameters():
        if parameter_name.startswith("look."):  # the frozen network of similar-faces
            assert p.grad is None
            continue
        assert p.grad is not None, parameter_name
        assert p.grad.isfinite().all(), parameter_name
        if p.dim() > 1:  # biases before a normalisation have none to speak of
            assert p.grad.abs().sum() > 0, parameter_name
    if s.critic is not None:
        assert all(p.grad is None for p in s.critic.parameters())


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_critic_loss_trains_the_whole_critic_and_nothing_of_the_generator(name: str, backbone: Backbone) -> None:
    generator, s = scene(ALL[name], backbone)
    s = s._replace(output=s.output._replace(image=s.output.image.detach()))  # as in training; coarse stays attached
    terms = ALL[name].critic_loss(s)
    assert terms.keys() == TERMS[name][1]
    assert all(value.shape == () and value.isfinite() for value in terms.values())
    sum(terms.values()).backward()
    assert all(p.grad is None for p in generator.parameters())
    for parameter_name, p in s.critic.named_parameters():
        assert p.grad is not None, parameter_name
        assert p.grad.isfinite().all(), parameter_name
        if p.dim() > 1:
            assert p.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_step_of_each_loss_works_against_the_other(name: str, backbone: Backbone) -> None:
    """Where the critic's loss falls on the repaired image, the adversarial term of the generator rises."""
    _, s = scene(ALL[name], backbone)
    image = s.output.image.detach().requires_grad_()
    s = s._replace(output=s.output._replace(image=image), critic=s.critic.eval())
    inside = s.batch.hole.expand_as(image) > 0
    (of_generator,) = torch.autograd.grad(ALL[name].generator_loss(s)["adversarial"], image)
    (of_critic,) = torch.autograd.grad(ALL[name].critic_loss(s)["critic"], image)
    assert F.cosine_similarity(of_generator[inside], of_critic[inside], dim=0) < -0.3


def pasted(s: Step) -> Tensor:
    return s.batch.hole * s.output.image + (1 - s.batch.hole) * s.batch.image


def frozen(name: str, backbone: Backbone | None = None, **options: Any) -> Step:
    """A scene whose critic gives the same answer each time it is asked."""
    _, s = scene(ALL[name], backbone, **options)
    return s._replace(critic=s.critic.eval())


def test_losses_of_the_context_encoder() -> None:
    s = frozen("context-encoder", reconstruction=0.75, adversarial=0.5)
    real, fake = s.critic(s.batch.image), s.critic(s.output.image)  # raw, as released
    terms = METHODS["context-encoder"].generator_loss(s)
    squared = (s.output.image - s.batch.image) ** 2
    torch.testing.assert_close(terms["reconstruction"], 0.75 * squared.sum() / squared.numel())
    torch.testing.assert_close(terms["adversarial"], -0.5 * fake.sigmoid().log().mean())
    critic = METHODS["context-encoder"].critic_loss(s)["critic"]
    torch.testing.assert_close(critic, -(real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean()))


def test_losses_of_contextual_attention() -> None:
    s = frozen("contextual-attention", hole=0.5, known=0.25, adversarial=2, penalty=3)
    image, hole, coarse, fine = s.batch.image, s.batch.hole, s.output.coarse, s.output.image
    terms = METHODS["contextual-attention"].generator_loss(s)

    off = 1.2 * (coarse - image).abs() + (fine - image).abs()
    weight = hole * losses.discount(hole)
    assert weight.sum() < hole.sum()
    inside, outside = 3 * hole.sum(), 3 * (1 - hole).sum()
    torch.testing.assert_close(terms["hole"], 0.5 * (weight * off).sum() / inside)
    torch.testing.assert_close(terms["known"], 0.25 * ((1 - hole) * off).sum() / outside)
    window = local_window(hole, 32)
    patch = [crop(x, window, 32) for x in (image, pasted(s), hole)]
    whole, local = s.critic.whole, s.critic.local
    torch.testing.assert_close(terms["adversarial"], -2 * (whole(pasted(s)).mean() + local(patch[1]).mean()))

    critic = METHODS["contextual-attention"].critic_loss(s)
    difference = whole(pasted(s)) - whole(image) + local(patch[1]) - local(patch[0])
    torch.testing.assert_close(critic["critic"], difference.mean())
    penalty = losses.gradient_penalty(whole, image, pasted(s), hole, s.batch.chance)
    penalty = penalty + losses.gradient_penalty(local, *patch, s.batch.chance)
    torch.testing.assert_close(critic["penalty"], 3 * penalty)


def test_feature_terms_do_not_depend_on_the_size_of_the_activations(backbone: Backbone) -> None:
    class Louder(nn.Module):
        name = backbone.name

        def forward(self, image: Tensor, taps: tuple[str, ...]) -> dict[str, Tensor]:
            return {tap: 1000 * features for tap, features in backbone(image, taps).items()}

    s = frozen("facial-style", backbone)
    plain, loud = (METHODS["facial-style"].generator_loss(s._replace(backbone=b)) for b in (backbone, Louder()))
    for term in ("perceptual", "style"):
        torch.testing.assert_close(plain[term], loud[term])


def test_mean_activation_is_that_of_all_devices(backbone: Backbone) -> None:
    """Twice the mean activation halves the features, and their Gram matrices twice."""
    s = frozen("facial-style", backbone, adversarial=0)
    ours = METHODS["facial-style"]
    one, two = (ours.generator_loss(s._replace(mean=lambda x, k=k: k * x.mean())) for k in (1, 2))
    torch.testing.assert_close(two["perceptual"], one["perceptual"] / 2)
    torch.testing.assert_close(two["style"], one["style"] / 4)
    assert two["reconstruction"] == one["reconstruction"]


def test_contextual_attention_divides_by_the_share_of_holes_on_all_devices() -> None:
    s = frozen("contextual-attention")
    share = s.batch.hole.mean()
    one = METHODS["contextual-attention"].generator_loss(s)
    two = METHODS["contextual-attention"].generator_loss(s._replace(mean=lambda x: x.mean() / 2))
    torch.testing.assert_close(two["hole"], 2 * one["hole"])
    torch.testing.assert_close(two["known"], one["known"] * (1 - share) / (1 - share / 2))


def test_all_devices_ask_for_features_in_one_order(backbone: Backbone) -> None:
    """The order of a set of names differs between processes, and with it whose mean is joined with whose."""
    s = frozen("facial-style", backbone, adversarial=0)
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        forward = backbone.forward
        patch.setattr(backbone, "forward", lambda x, taps: asked.append(taps) or forward(x, taps))
        METHODS["facial-style"].generator_loss(s)
    assert asked == [("relu1", "fire2", "fire4")] * 2


@pytest.mark.parametrize("value", [0, 1])
def test_contextual_attention_takes_empty_and_full_holes(value: int) -> None:
    _, s = scene(METHODS["contextual-attention"], None)
    s = s._replace(batch=s.batch._replace(hole=torch.full_like(s.batch.hole, value)))
    terms = METHODS["contextual-attention"].generator_loss(s) | METHODS["contextual-attention"].critic_loss(s)
    assert all(t.isfinite() for t in terms.values())
    assert terms["known" if value else "hole"] == 0


def test_losses_of_gated_convolution() -> None:
    s = frozen("gated-conv", reconstruction=0.5, adversarial=0.25)
    real, fake = s.critic(s.batch.image, s.batch.hole), s.critic(pasted(s), s.batch.hole)
    terms = METHODS["gated-conv"].generator_loss(s)
    off = (s.output.coarse - s.batch.image).abs().mean() + (s.output.image - s.batch.image).abs().mean()
    torch.testing.assert_close(terms["reconstruction"], 0.5 * off)
    torch.testing.assert_close(terms["adversarial"], -0.25 * fake.mean())
    critic = METHODS["gated-conv"].critic_loss(s)["critic"]
    torch.testing.assert_close(critic, ((1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()) / 2)


@pytest.mark.parametrize("l1", ["all", "hole"])
@pytest.mark.parametrize("judge", ["raw", "composite"])
@pytest.mark.parametrize("gan", ["ragan", "hinge", "bce"])
def test_losses_of_the_patents_method(gan: str, judge: str, l1: str, backbone: Backbone) -> None:
    lambdas = {"reconstruction": 2.0, "perceptual": 0.5, "style": 30.0, "adversarial": 0.25}
    s = frozen("facial-style", backbone, gan=gan, judge=judge, l1=l1, **lambdas)
    judged = pasted(s) if judge == "composite" else s.output.image
    terms = METHODS["facial-style"].generator_loss(s)
    off = (s.output.image - s.batch.image).abs()
    of_each = [o[:, h > 0].mean() for o, h in zip(off, s.batch.hole[:, 0], strict=True)]
    torch.testing.assert_close(terms["reconstruction"], 2.0 * (off.mean() if l1 == "all" else sum(of_each) / 3))

    seen, true = backbone(judged), backbone(s.batch.image)
    scale = {tap: features.sum() / features.numel() for tap, features in true.items()}  # activations of about 1
    seen, true = ({tap: f / scale[tap] for tap, f in side.items()} for side in (seen, true))
    taps = ("relu1", "fire2", "fire4")
    off = sum((seen[t] - true[t]).abs().mean() for t in taps)
    torch.testing.assert_close(terms["perceptual"], 0.5 * off)
    off = sum((losses.gram(seen[t]) - losses.gram(true[t])).abs().mean() for t in taps[1:])
    torch.testing.assert_close(terms["style"], 30 * off)

    real, fake = s.critic(s.batch.image), s.critic(judged)
    critic = METHODS["facial-style"].critic_loss(s)["critic"]
    if gan == "hinge":
        torch.testing.assert_close(terms["adversarial"], -0.25 * fake.mean())
        torch.testing.assert_close(critic, ((1 - real).relu().mean() + (1 + fake).relu().mean()) / 2)
    elif gan == "bce":
        torch.testing.assert_close(terms["adversarial"], -0.25 * fake.sigmoid().log().mean())
        torch.testing.assert_close(critic, -real.sigmoid().log().mean() - (1 - fake.sigmoid()).log().mean())
    else:
        torch.testing.assert_close(terms["adversarial"], 0.25 * losses.ragan_generator(real, fake))
        torch.testing.assert_close(critic, losses.ragan_discriminator(real, fake))
        assert abs(terms["adversarial"] / 0.25 - critic) > 1e-4


def test_losses_of_two_networks_with_structure_first(backbone: Backbone) -> None:
    """The picture's are those of the patent's method; the lines have a critic of their own."""
    s = frozen("structure-first", backbone, lines=0.5, matching=3.0)
    image, drawn = s.batch.image, s.output.structure
    terms, both = METHODS["structure-first"].generator_loss(s), METHODS["structure-first"].critic_loss(s)
    shade, true = grey(image), lines(image)
    assert 0 < true.mean() < 1
    real, fake = (s.critic.structure.features(torch.cat([shade, x], 1)) for x in (true, drawn))
    assert len(real) == 5
    torch.testing.assert_close(terms["lines"], -0.5 * fake[-1].sigmoid().log().mean())
    torch.testing.assert_close(
        terms["matching"], 3 * sum((a - b).abs().mean() for a, b in zip(real, fake, strict=True))
    )
    told = -real[-1].sigmoid().log().mean() - (1 - fake[-1].sigmoid()).log().mean()
    torch.testing.assert_close(both["critic of lines"], told)
    alike = s._replace(options=METHODS["facial-style"].options | {"gan": "bce", "judge": "raw"})
    expected = METHODS["facial-style"].generator_loss(alike)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)


def test_our_losses_look_at_both_stages_of_another_generator(backbone: Backbone) -> None:
    s = frozen("gated-conv-our-losses", backbone)
    terms = METHODS["gated-conv-our-losses"].generator_loss(s)
    alone = METHODS["facial-style"].generator_loss(s._replace(output=s.output._replace(coarse=None)))
    of_coarse = losses.reconstruction(s.output.coarse, s.batch.image, s.batch.hole)
    torch.testing.assert_close(terms["reconstruction"], alone["reconstruction"] + of_coarse)
    assert terms.keys() == alone.keys() == set(LAMBDAS)


class Spy(nn.Module):
    """A critic that remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Tensor:
        self.shown.append(image)
        return image.mean((1, 2, 3))


def test_a_critic_can_be_told_hole_and_map() -> None:
    """Both losses show it the map that the generator is given."""
    m = METHODS["facial-style"]
    _, s = scene(m, None)
    s.critic.eval()  # in training its spectral norms change from call to call
    told = s._replace(critic=m.critic(dataclasses.replace(TINY, critic_sees="hole-and-map")).eval())
    swapped = told._replace(batch=s.batch._replace(regions=s.batch.regions.flip(-1)))
    for loss in (m.generator_loss, m.critic_loss):
        name = "adversarial" if loss == m.generator_loss else "critic"
        assert loss(told)[name] != loss(swapped)[name]
        assert loss(s)[name] == loss(s._replace(batch=swapped.batch))[name]


@pytest.mark.parametrize("name", ["context-encoder", "gated-conv", "facial-style"])
def test_critics_judge_photographs_with_the_hole_filled_or_the_raw_output(name: str) -> None:
    m = ALL[name]
    fixed = {"context-encoder": "raw", "gated-conv": "composite"}
    for judge in ("raw", "composite") if name == "facial-style" else (fixed[name],):
        _, s = scene(m, None, **({"judge": judge} if name == "facial-style" else {}))
        expected = s.output.image if judge == "raw" else pasted(s)
        for loss in (m.generator_loss, m.critic_loss):
            spy = Spy()
            loss(s._replace(critic=spy))
            shown = [x for x in spy.shown if x is not s.batch.image]
            assert len(shown) == 1
            torch.testing.assert_close(shown[0], expected)
            if loss is m.critic_loss:
                assert len(spy.shown) == 2


def test_what_is_judged_composited_does_not_depend_on_known_pixels(backbone: Backbone) -> None:
    s = frozen("facial-style", backbone, judge="composite")
    other = torch.where(s.batch.hole > 0, s.output.image, torch.rand_like(s.batch.image))
    ours = METHODS["facial-style"]
    one, two = (ours.generator_loss(s._replace(output=Output(x))) for x in (s.output.image, other))
    for term in ("reconstruction", "perceptual", "style", "adversarial"):
        assert one[term] == two[term]
    everywhere = frozen("facial-style", backbone, l1="all")
    one, two = (ours.generator_loss(everywhere._replace(output=Output(x))) for x in (s.output.image, other))
    assert one["reconstruction"] != two["reconstruction"]


def test_relativistic_means_are_those_of_all_devices(backbone: Backbone) -> None:
    s = frozen("facial-style", backbone, perceptual=0, style=0)
    asked: list[Tensor] = []

    def mean(x: Tensor) -> Tensor:
        asked.append(x)
        return x.mean() + 1

    s = s._replace(mean=mean)
    real, fake = s.critic(s.batch.image), s.critic(pasted(s))
    ours = METHODS["facial-style"]
    torch.testing.assert_close(
        ours.generator_loss(s)["adversarial"], 0.1 * losses.ragan_generator(real, fake, lambda x: x.mean() + 1)
    )
    torch.testing.assert_close(
        ours.critic_loss(s)["critic"], losses.ragan_discriminator(real, fake, lambda x: x.mean() + 1)
    )
    assert len(asked) == 4


# --- terms left out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", losses.LAMBDAS)
def test_a_lambda_of_zero_removes_its_term(term: str, backbone: Backbone) -> None:
    ours = METHODS["facial-style"]
    whole = ours.generator_loss(frozen("facial-style", backbone))
    left = ours.generator_loss(frozen("facial-style", backbone, **{term: 0}))
    assert left.keys() == whole.keys() - {term}


@pytest.mark.parametrize("gan", ["ragan", "hinge"])
def test_without_adversarial_loss_the_critic_is_never_asked(gan: str, backbone: Backbone) -> None:
    _, s = scene(METHODS["facial-style"], backbone, adversarial=0, gan=gan)
    spy = Spy()
    s = s._replace(critic=spy)
    assert METHODS["facial-style"].generator_loss(s).keys() == {"reconstruction", "perceptual", "style"}
    assert METHODS["facial-style"].critic_loss(s) == {}
    assert spy.shown == []


def test_without_perceptual_and_style_loss_the_network_is_never_looked_through(backbone: Backbone) -> None:
    calls: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone, "forward", lambda *a: calls.append(1), raising=False)
        s = frozen("facial-style", backbone, perceptual=0, style=0)
        assert METHODS["facial-style"].generator_loss(s).keys() == {"reconstruction", "adversarial"}
    assert calls == []


@pytest.mark.parametrize("name", BASELINES)
def test_a_weight_of_zero_silences_a_term_of_a_baseline(name: str) -> None:
    m = METHODS[name]
    for option in m.options:
        s = frozen(name, **{option: 0})
        terms = m.generator_loss(s) | m.critic_loss(s)
        assert terms[option] == 0
        assert all(value != 0 for term, value in terms.items() if term != option)


@pytest.mark.parametrize("network", TAPS)
def test_taps_are_in_the_weights_at_hand(network: str) -> None:
    perceptual, style = TAPS[network]
    assert perceptual
    assert style
    known = NETWORKS[network].layer_of
    deepest = {"vgg19": "relu3_4", "squeezenet1_1": "fire8"}[network]
    assert all(known[tap] <= known[deepest] for tap in (*perceptual, *style))


def test_every_preset_has_a_network_with_taps() -> None:
    assert {p.backbone for p in PRESETS.values()} <= set(TAPS)


def test_vgg_terms_reach_the_output() -> None:
    _, s = scene(METHODS["facial-style"], None, adversarial=0)
    s = s._replace(
        backbone=load_backbone("vgg19", "seed"),
        batch=Batch(*(x[:1] for x in s.batch)),
        output=Output(s.output.image[:1]),
    )
    terms = METHODS["facial-style"].generator_loss(s)
    for term in ("perceptual", "style"):
        (gradient,) = torch.autograd.grad(terms[term], s.output.image, retain_graph=True)
        assert gradient.abs().sum() > 0
        assert terms[term] > 0


@pytest.mark.parametrize("field", dataclasses.fields(Method))
def test_every_part_of_a_method_is_described(field: dataclasses.Field) -> None:
    assert f"{field.name}:" in Method.__doc__ or f"{field.name}," in Method.__doc__


def test_the_parsers_loss_weighs_regions_by_the_inverse_root_of_their_share() -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 8, 8, generator=draw)
    regions = torch.zeros(2, 8, 8, dtype=torch.uint8)
    regions[:, 2:6, 2:6], regions[0, 0, 0] = 1, 2
    batch = Batch(torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8), regions, torch.zeros(2, 1, 1, 1))
    terms = PARSER.generator_loss(Step(batch, Output(scores), None, None, torch.mean, {}))
    shares = torch.tensor([(regions == i).float().mean() for i in range(3)])
    expected = F.cross_entropy(scores, regions.long(), weight=shares**-0.5)
    torch.testing.assert_close(terms["cross_entropy"], expected)
    assert terms.keys() == {"cross_entropy"}
    assert PARSER.critic_loss is None


# --- settings and sizes ---------------------------------------------------------------------------------------------


class Watched:
    """A preset that notes which of its fields are looked at."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.seen.add(name)
        return getattr(TINY, name)

    def scaled(self, width: float) -> int:
        return Preset.scaled(self, width)  # type: ignore[arg-type]  # which reads a field


@pytest.mark.parametrize("name", TRAINED)
def test_settings_that_a_method_names_are_those_that_it_reads(name: str) -> None:
    m, watched = method(name), Watched()
    m.sizes(watched)
    if m.critic is not None:
        m.critic(watched)
    if m.perceptual:
        watched.seen.add("backbone")
    if m.critic is not None:
        watched.seen.add("critic_steps")
    assert watched.seen - {"size"} == set(m.settings)
    assert not set(m.settings) & set(SHARED)
    assert all(m.reads(setting) for setting in (*SHARED, *m.settings))


def test_every_setting_of_a_preset_is_read_by_some_method() -> None:
    read = set(SHARED).union(*(method(name).settings for name in TRAINED))
    assert read == {f.name for f in dataclasses.fields(TINY)} - {"name"}


def test_settings_are_shared_out_between_preset_and_method() -> None:
    given = {"batch": 2, "width": 8, "speed": 1}
    assert method("facial-style").split_settings(given) == ({"batch": 2, "width": 8}, {"speed": 1})
    assert method("gated-conv").split_settings(given) == ({"batch": 2}, {"width": 8, "speed": 1})
    assert method("parser").split_settings({"width": 64, "parser_width": 4}) == ({"parser_width": 4}, {"width": 64})
    for name, setting in (("parser", "critic_steps"), ("gated-conv", "heads"), ("facial-style", "baseline_scale")):
        with pytest.raises(ConfigError, match=f"{name} does not read the setting '{setting}'") as caught:
            method(name).split_settings({"batch": 2, setting: 1})
        takes = caught.value.remedy.removeprefix("It reads ").split(", ")
        assert {"batch", *method(name).settings} <= set(takes)
        assert setting not in takes
        assert len(set(takes)) == len(takes)


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in TRAINED), ("facial-style", {"reading": "R2"}), ("facial-style", {"reading": "R3"})],
)
def test_sizes_that_are_refused_are_those_that_fail(name: str, options: dict[str, Any]) -> None:
    """Each multiple of 16 up to 128 is tried in training, generator and critic."""
    m, small = method(name), dataclasses.replace(TINY, width=4, style_width=4, critic_width=4, baseline_scale=0.06)
    for size in range(16, 129, 16):
        try:
            p = dataclasses.replace(small, size=size)
            image, hole = torch.rand(2, 3, size, size), torch.zeros(2, 1, size, size)
            hole[..., : size // 2, : size // 2] = 1
            out = m.build(p, "regions", options)(image, hole, torch.ones(2, size, size, dtype=torch.uint8)).image
            works = out.shape[2:] == image.shape[2:] and size > 16  # the frozen networks need 32
            if m.critic is not None:
                m.critic(p)(out, hole)
        except (ConfigError, DataError, RuntimeError, ValueError):
            works = False
        if works:
            m.check_size(size, options)
            continue
        with pytest.raises(ConfigError, match=f"takes no pictures of {size} pixels"):
            m.check_size(size, options)
