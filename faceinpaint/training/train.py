"""Training: one alternating loop for all methods, exact to the bit when it is interrupted and resumed.

Nothing random is carried from step to step. Which faces and holes a step sees, and how they are mirrored, follows
from the seed and the number of the step, so a resumed run needs only the weights, the optimisers' moments and the
step to go on as if nothing had happened. With several devices every process draws the whole batch's plan and takes
its share of it; what a loss or a normalisation averages over the batch, it averages over the batches of all
processes. So the same weights come out, but for rounding, whatever the number of devices.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from faceinpaint import weights
from faceinpaint.backbones import Backbone, load_backbone
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.errors import CheckpointError, ConfigError, TrainingError
from faceinpaint.files import claimed, write_text
from faceinpaint.models import composite
from faceinpaint.models.facial_style import Reference, lent_share
from faceinpaint.models.parser import parse
from faceinpaint.models.start import within
from faceinpaint.pixels import to_bytes
from faceinpaint.provenance import stamp
from faceinpaint.regions import n_regions
from faceinpaint.training.feed import Feed, another_view
from faceinpaint.training.methods import Method, method
from faceinpaint.training.objectives import Batch, Step
from faceinpaint.training.processes import (
    MeanOfProcesses,
    first_line,
    interruptible,
    is_of_lost_peer,
    launch,
    share_statistics,
)
from faceinpaint.training.run import (
    SMALLER,
    Config,
    brief_of,
    check_merge,
    claim,
    differences,
    load_parser,
    log_lines,
    other_widths,
)

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Progress = Callable[[int, str], None]
"""Told how many images more were trained on, and one line on how it goes."""

COMPILED, BACKEND = ("cuda",), "inductor"
"""Where the setting ``compile`` compiles, and by what; tests take the same path on a CPU, with another backend."""

CALMER = "Start again with a lower lr, or with precision 32-true"
"""What to do about a training that breaks down."""


def train(
    config: Config, faces: FaceSet, holes: HoleSet, out: str | Path, *, backbone_weights: str | Path = "auto",
    progress: Progress | None = None, accelerator: str = "cpu", fabric: Fabric | None = None,
    begin: str | Path | None = None, parser: str | Path | None = None,
) -> Path:  # fmt: skip
    """Train one method, or go on where an earlier call stopped.

    ``out`` receives ``config.json``, ``log.jsonl``, ``tensorboard/``, ``samples/``, ``checkpoints/`` and, at the end,
    ``generator.safetensors`` with its JSON: the running mean of the generator's weights, which is what is evaluated.
    Ctrl-C finishes the step, writes a checkpoint and raises KeyboardInterrupt.

    Called again with more images and nothing else changed, a run is taken further from its last checkpoint, critic
    and moments of the optimisers included. The learning rate then stands where the larger count wants it: a run that
    was over goes up again before it falls. The counts asked for before are kept in the record, under ``earlier``.

    Args:
        config: what to train.
        faces, holes: the training set, the same in every process.
        out: folder of the run; only the first process writes.
        backbone_weights: see :func:`faceinpaint.backbones.load_backbone`.
        progress: called after each step by the first process.
        accelerator: as Lightning Fabric names it.
        fabric: the processes that :func:`launch` started; without it, one.
        begin: weights to begin with in place of random ones: ``generator.safetensors`` of another training of the
            same method and widths, or its folder. The size of pictures may differ, as the networks are convolutions:
            a short training at 256 can follow a long one at 64. The critic begins anew.
        parser: weights of a parser, which then guesses the parsing map of every damaged face in the place of the true
            one, as it will where the generator is used.

    Returns:
        path of ``generator.safetensors``.

    Raises:
        CheckpointError: ``out`` holds another run, or a damaged checkpoint; ``begin`` or ``parser`` do not fit.
        DataError: another process is training there, or the system refuses to write.
        ConfigError: the configuration begins from a smaller network whose weights were not loaded.
        TrainingError: a loss or gradient is not finite, or another process was lost.
    """
    out = Path(out)
    fabric = fabric or launch(config.preset, accelerator)
    before, lost = signal.getsignal(signal.SIGTERM), False
    try:
        with claimed(out) if fabric.is_global_zero else nullcontext():
            return _train(config, faces, holes, out, backbone_weights, progress, fabric, begin, parser)
    except RuntimeError as error:
        lost = fabric.world_size > 1 and is_of_lost_peer(error)
        if not lost:
            raise
        remedy = "Look for its own message, mend the cause and start the same command again: it goes on"
        raise TrainingError(f"another process of the run was lost ({first_line(error)})", remedy, out) from error
    finally:
        # Of a lost worker's peers, torchrun ends each by SIGTERM, which must not come before the message is shown.
        changed = signal.getsignal(signal.SIGTERM) is not before
        if changed and before is not None and not lost:
            signal.signal(signal.SIGTERM, before)


def _train(
    config: Config, faces: FaceSet, holes: HoleSet, out: Path, backbone_weights: str | Path,
    progress: Progress | None, fabric: Fabric, begin: str | Path | None, parser: str | Path | None,
) -> Path:  # fmt: skip
    """What :func:`train` does once the folder is its own."""
    p, chosen = config.preset, method(config.method)
    if config.smaller is not None and config.smaller.tensors is None:
        raise ConfigError("the weights of the smaller network are not loaded", "Name it by load_smaller", out)
    with fabric.rank_zero_first(local=True):  # on each machine one fetches weights, the others find them
        backbone = load_backbone(p.backbone, backbone_weights) if chosen.perceptual else None
    about: dict[str, Any] = {
        "config": config.to_dict(),
        "data": {
            "faces": faces.source, "holes": holes.source, "face_count": len(faces), "hole_count": len(holes),
            "pictures_sha256": _sha256_of_pictures(faces, holes),
        },
        "backbone": backbone.record() if backbone is not None else None,
    }  # fmt: skip
    first: dict[str, Tensor] = {}
    if begin is not None:
        source = weights.trained_file(begin)
        first, before = weights.load(source)
        about["begin"] = brief_of(before, "begin", "start")
    guesser = None
    if parser is not None:
        guesser, how, told = load_parser(parser)
        check_merge(how, config, parser)
        about["parser"] = brief_of(told)
    final = out / "generator.safetensors"
    if fabric.is_global_zero and (earlier := claim(out, about)):
        about["earlier"] = earlier
    fabric.barrier()
    if final.exists():
        _, held = weights.load(final)  # refuses what is damaged
        if held.get("images", 0) >= p.images:
            if progress and fabric.is_global_zero:
                progress(-(-p.images // p.batch) * p.batch, "already trained")
            return final

    run = _Run(config, chosen, fabric, backbone, guesser)
    resumed = run.restore(out / "checkpoints")
    if first and not resumed:
        run.begin(first, source, before)
    if chosen.remembers and not resumed:
        network: Any = within(run.bare["generator"])
        network.remember(faces.images, backbone_weights)
        run.copy_to_mean()
    place = fabric.device, fabric.global_rank, fabric.world_size
    feed = Feed(faces, holes, p.batch, config.seed, config.merge, *place, data=p.data, large_holes=p.large_holes)
    steps = -(-p.images // p.batch)
    _loop(run, feed, resumed, steps, out, progress)
    if fabric.is_global_zero:
        made = stamp(run.seconds, fabric.device) | {"devices": fabric.world_size}
        final.unlink(missing_ok=True)  # of fewer images: killed while writing, the run still ends from its checkpoint
        weights.save(final, dict(run.ema.items()), about | {"images": steps * p.batch} | made)
    fabric.barrier()
    return final


def _loop(run: _Run, feed: Feed, resumed: int, steps: int, out: Path, progress: Progress | None) -> None:
    """All steps from ``resumed`` on, with their log, samples and checkpoints.

    Raises:
        TrainingError: a loss or gradient is not finite.
        KeyboardInterrupt: Ctrl-C was pressed; the checkpoint is written.
    """
    p, fabric = run.config.preset, run.fabric
    log = _Log(out, resumed, p.batch) if fabric.is_global_zero else None
    if progress and log:
        progress(resumed * p.batch, "resumed" if resumed else "started")
    with interruptible(fabric.world_size > 1) as pressed, closing(log) if log else nullcontext():
        for step in range(resumed, steps):
            began = time.monotonic()
            scalars = run.step(step, steps, feed)
            done = (step + 1) * p.batch
            due = [_passed(done, p.batch, every) for every in (p.checkpoint_every, p.sample_every)]
            last = step + 1 == steps
            noted = last or any(due) or step % 10 == 0 or fabric.device.type == "cpu"
            if noted:
                scalars = run.everywhere(scalars)
            if log and noted:
                values = {name: float(value) for name, value in scalars.items()}  # waits for the device
                if not all(np.isfinite(v) for v in values.values()):
                    bad = ", ".join(f"{n} = {v}" for n, v in values.items() if not np.isfinite(v))
                    raise TrainingError(f"training broke down at step {step} ({bad})", CALMER, out)
                log.scalars(step, done, values)
                if progress:
                    progress(p.batch, f"loss {values['generator']:.3f}")
            elif log and progress:
                progress(p.batch, "")
            run.seconds += time.monotonic() - began
            if log and (due[1] or last):
                log.pictures(step, done, run.samples(feed(0)))
            stop = run.anywhere(bool(pressed))
            if due[0] or last or stop:
                run.save(out / "checkpoints", step + 1)
            if stop:
                raise KeyboardInterrupt


class _Run:
    """Networks, optimisers and what one step does with them."""

    def __init__(
        self, config: Config, chosen: Method, fabric: Fabric, backbone: Backbone | None,
        parser: nn.Module | None = None,
    ) -> None:  # fmt: skip
        self.config, self.chosen, self.fabric, self.seconds = config, chosen, fabric, 0.0
        p = config.preset
        self.options = chosen.split_options(config.options)[1]
        # The modules themselves, whose weights are saved under their own names, and what Fabric wraps them in.
        self.bare: dict[str, nn.Module] = {"generator": config.generator()}
        if chosen.critic is not None:
            torch.manual_seed(config.seed + 1)
            self.bare["critic"] = chosen.critic(p)
        lr = p.lr or chosen.lr
        self.lr = {"generator": lr, "critic": lr * chosen.critic_lr}
        self.wrapped: dict[str, Any] = {}
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        fast = p.compile and fabric.device.type in COMPILED
        if fast:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        self.format = torch.channels_last if fast else torch.contiguous_format
        for kind, network in self.bare.items():
            if fabric.world_size > 1:
                share_statistics(network)
            network.to(device=fabric.device).to(memory_format=self.format)  # type: ignore[call-overload]
            optimiser = torch.optim.Adam(network.parameters(), self.lr[kind], chosen.betas)
            compiled: Any = torch.compile(network, backend=BACKEND) if fast else network
            self.wrapped[kind], self.optimisers[kind] = fabric.setup(compiled, optimiser)
        self.backbone = backbone.to(fabric.device) if backbone is not None else None
        if self.backbone is not None:  # it is a third of the work of a step
            self.backbone.in_half = p.precision == "bf16-mixed" and fabric.device.type == "cuda"
            self.backbone.to(memory_format=self.format)  # type: ignore[call-overload]
            if fast:
                self.backbone.compile(backend=BACKEND)
        self.parser = parser.to(fabric.device) if parser is not None else None
        self.ema = {name: t.detach().clone() for name, t in self.bare["generator"].state_dict().items()}

    def begin(self, tensors: dict[str, Tensor], path: Path, told: dict[str, Any]) -> None:
        """Let the generator begin with these weights; what start ``smaller`` begins from is not among them.

        Args:
            tensors: by name.
            path: of their file.
            told: their training record.

        Raises:
            CheckpointError: they do not fit, and with which settings they would.
        """
        own = {n: t for n, t in self.bare["generator"].state_dict().items() if n.startswith(SMALLER)}
        given = {n: t for n, t in tensors.items() if not n.startswith(SMALLER)}
        try:
            weights.fill(self.bare["generator"], given | own, path)
        except CheckpointError as error:
            unlike = ", ".join(other_widths(told, self.config, path))
            remedy = f"Set {unlike}, as they have" if unlike else error.remedy
            raise CheckpointError(error.problem, remedy, path) from None
        self.copy_to_mean()

    def copy_to_mean(self) -> None:
        """Let the running mean begin with what the generator holds now."""
        for name, tensor in self.bare["generator"].state_dict().items():
            self.ema[name].copy_(tensor)

    def step(self, step: int, steps: int, feed: Feed) -> dict[str, Tensor]:
        """One generator step and the critic steps that go with it. Returns scalars to log, still on the device."""
        p, fabric = self.config.preset, self.fabric
        torch.manual_seed(int(np.random.SeedSequence([self.config.seed, step]).generate_state(1, np.uint64)[0]) >> 1)
        left = 1 - step / steps
        for kind, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = self.lr[kind] * (min(1.0, left / p.decay) if p.decay else 1.0)
        generator, critic = self.bare["generator"], self.bare.get("critic")
        terms: dict[str, Tensor] = {}
        # The critic first, on faces of their own when it takes more than one step; the generator on the last batch.
        turns = p.critic_steps if critic is not None else 1
        for turn in range(turns):
            parts = self._parts(feed(step * turns + turn))
            outputs: list[Any] = [None] * len(parts)
            if critic is not None:
                with torch.set_grad_enabled(len(parts) == 1):  # of several, no room is taken for their gradients
                    outputs = [self._repaired(part) for part in parts]
                still = [output._replace(image=output.image.detach()) for output in outputs]
                terms = self._descend("critic", self.chosen.critic_loss, parts, still)
        if len(parts) > 1:
            outputs = [None] * len(parts)
        if critic is None:
            losses = self._descend("generator", self.chosen.generator_loss, parts, outputs)
        else:
            critic.requires_grad_(False)
            with fabric.no_backward_sync(self.wrapped["critic"], enabled=fabric.world_size > 1):
                losses = self._descend("generator", self.chosen.generator_loss, parts, outputs)
            critic.requires_grad_(True)
        norm = torch.nn.utils.get_total_norm([q.grad for q in generator.parameters() if q.grad is not None])
        self._average(step)
        return losses | terms | {"generator": _total(losses), "gradient": norm.detach()}

    def _descend(self, kind: str, loss: Any, parts: list[Batch], outputs: list[Any]) -> dict[str, Tensor]:
        """One step of a network down the mean of its loss over the parts of a batch. Returns the terms of the loss.

        Outputs that are None are made when it is their turn, so that of the graphs of several parts one is there.
        """
        means: dict[str, Tensor] = {}
        self.optimisers[kind].zero_grad()
        for part, output in zip(parts, outputs, strict=True):
            terms = loss(self._scene(part, self._repaired(part) if output is None else output))
            if not terms:
                return {}
            self.fabric.backward(_total(terms) / len(parts))
            for name, value in terms.items():
                means[name] = means.get(name, 0) + value.detach() / len(parts)
        self.optimisers[kind].step()
        return means

    def _parts(self, batch: Batch) -> list[Batch]:
        """A batch, as the networks are given it, in as few equal parts as have no more than ``at_once`` images."""
        share = len(batch.image)
        size = next(n for n in range(min(share, self.config.preset.at_once), 0, -1) if share % n == 0)
        return [self._seen(Batch(*part)) for part in zip(*(x.split(size) for x in batch), strict=True)]

    def _repaired(self, batch: Batch) -> Any:
        more = (self._reference(batch),) if self.options.get("like") == "half" else ()
        return self.wrapped["generator"](batch.image, batch.hole, batch.regions, *more)

    @torch.no_grad()
    def _reference(self, batch: Batch) -> Reference:
        """Another view of each face, parsed as the face itself is, and how far it lends its styles."""
        view = another_view(batch)
        if self.parser is not None:
            with self.fabric.autocast():
                view = view._replace(regions=parse(self.parser, view.image, torch.zeros_like(batch.hole)))
        lent = lent_share(batch.regions, batch.hole, n_regions(self.config.merge))
        return view._replace(share=view.share * lent)

    def _seen(self, batch: Batch) -> Batch:
        """A batch as the networks are given it: in their memory format, with the map that the parser guesses."""
        batch = batch._replace(image=batch.image.contiguous(memory_format=self.format))
        if self.parser is None:
            return batch
        with self.fabric.autocast():
            return batch._replace(regions=parse(self.parser, batch.image, batch.hole))

    def _scene(self, batch: Batch, output: Any) -> Step:
        return Step(batch, output, self.wrapped.get("critic"), self.backbone, self._mean, self.options)

    def _mean(self, logits: Tensor) -> Tensor:
        """Mean over the batches of all devices, with its gradient."""
        if self.fabric.world_size == 1:
            return logits.mean()
        return MeanOfProcesses.apply(logits.mean())

    def everywhere(self, scalars: dict[str, Tensor]) -> dict[str, Tensor]:
        """Their means over all processes."""
        if self.fabric.world_size == 1:
            return scalars
        values = self.fabric.all_reduce(torch.stack([v.float() for v in scalars.values()]), reduce_op="mean")
        return dict(zip(scalars, values, strict=True))

    def anywhere(self, flag: bool) -> bool:
        """Whether it is set in any process."""
        if self.fabric.world_size == 1:
            return flag
        return bool(self.fabric.all_reduce(torch.tensor(float(flag), device=self.fabric.device), reduce_op="sum"))

    def _average(self, step: int) -> None:
        """Running mean of the generator's weights; a short memory at first, while they change fast."""
        keep = min(self.config.preset.ema, (1 + step) / (10 + step))
        current = self.bare["generator"].state_dict()
        floating = [n for n, t in self.ema.items() if t.is_floating_point()]
        torch._foreach_lerp_([self.ema[n] for n in floating], [current[n] for n in floating], 1 - keep)
        for name in self.ema.keys() - floating:
            self.ema[name].copy_(current[name])

    @torch.no_grad()
    def samples(self, batch: Batch) -> np.ndarray:
        """Rows of (true, damaged, repaired, composited) for the first faces, (H, W, 3) uint8, by the mean weights.

        The parser has nothing to show but the first two.
        """
        batch = self._seen(Batch(*(x[:4] for x in batch)))
        generator = self.bare["generator"].eval()
        output = torch.func.functional_call(generator, self.ema, (batch.image, batch.hole, batch.regions)).image
        generator.train()
        columns = [batch.image, batch.image * (1 - batch.hole)]
        if output.shape == batch.image.shape:
            columns += [output, composite(output, batch.image, batch.hole)]
        rows = torch.cat([torch.cat(list(c), dim=1) for c in columns], dim=2)
        return to_bytes(rows).permute(1, 2, 0).cpu().numpy()

    # --- checkpoints

    def save(self, folder: Path, step: int) -> None:
        """Write ``folder/step-00000012``, then remove older ones.

        Raises:
            TrainingError: a tensor is not finite; the older ones stay.
        """
        if self.fabric.is_global_zero:
            tensors = {f"ema.{n}": t for n, t in self.ema.items()}
            for kind, network in self.bare.items():
                tensors |= {f"{kind}.{n}": t for n, t in network.state_dict().items()}
            for kind, optimiser in self.optimisers.items():
                for index, state in optimiser.state_dict()["state"].items():
                    tensors |= {f"adam.{kind}.{index}.{n}": torch.as_tensor(v) for n, v in state.items()}
            bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
            if bad:
                raise TrainingError(f"training broke down before step {step} ({bad[0]} is not finite)", CALMER, folder)
            new = folder / f".step-{step:08d}.new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            about = {"step": step, "seconds": self.seconds, "config": self.config.to_dict()}
            weights.save(new / "state.safetensors", tensors, about)
            target = folder / f"step-{step:08d}"
            shutil.rmtree(target, ignore_errors=True)
            new.rename(target)
            for old in folder.iterdir():
                if old != target:
                    shutil.rmtree(old, ignore_errors=True)
        self.fabric.barrier()

    def restore(self, folder: Path) -> int:
        """Load the newest checkpoint, if there is one; returns the step to go on with."""
        found = sorted(folder.glob("step-*"))
        if not found:
            return 0
        path = found[-1] / "state.safetensors"
        tensors, about = weights.load(path)
        if differences(about.get("config"), json.loads(json.dumps(self.config.to_dict()))):
            raise CheckpointError("it belongs to another run", "Choose another folder, or the same settings", path)
        try:
            return self._restore(tensors, about, path)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            problem = f"it is not a whole checkpoint ({type(error).__name__}: {error})"
            raise CheckpointError(problem, "Restore the folder, or start in another one", path) from error

    def _restore(self, tensors: dict[str, Tensor], about: dict[str, Any], path: Path) -> int:
        step, self.seconds = int(about["step"]), float(about["seconds"])
        groups: dict[str, dict[str, Tensor]] = {"ema": {}, "generator": {}, "critic": {}, "adam": {}}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            groups[kind][rest] = tensor
        for kind, network in self.bare.items():
            weights.fill(network, groups[kind], path)
        for name, tensor in self.ema.items():
            tensor.copy_(groups["ema"][name])
        for kind, optimiser in self.optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for name, tensor in groups["adam"].items():
                owner, index, key = name.split(".")
                if owner == kind:
                    state.setdefault(int(index), {})[key] = tensor
            optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
            for weight, moments in optimiser.state.items():
                if not weight.shape == moments["exp_avg"].shape == moments["exp_avg_sq"].shape:
                    raise ValueError("moments of another shape than their weights")
        return step


def _total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


class _Log:
    """``log.jsonl``, TensorBoard and sample pictures of a run; what was logged after the checkpoint is forgotten."""

    def __init__(self, out: Path, start: int, batch: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.out = out
        path = out / "log.jsonl"
        try:
            kept = [line for line in log_lines(path) if json.loads(line)["step"] < start]
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"a line of it is damaged ({error})", "Delete it; curves start anew", path) from None
        write_text(path, "".join(kept))
        self.file = path.open("a", encoding="utf-8")
        self.board = SummaryWriter(
            str(out / "tensorboard"), purge_step=start * batch + 1, max_queue=1000, flush_secs=60
        )

    def scalars(self, step: int, images: int, values: dict[str, float]) -> None:
        line = {"step": step, "images": images} | {n: float(f"{v:.6g}") for n, v in values.items()}
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        for name, value in values.items():
            self.board.add_scalar(name, value, images)

    def pictures(self, step: int, images: int, picture: np.ndarray) -> None:
        from PIL import Image

        folder = self.out / "samples"
        folder.mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / f"{step + 1:08d}.png")
        self.board.add_image("true, damaged, repaired, composited", picture, images, dataformats="HWC")

    def close(self) -> None:
        self.file.close()
        self.board.close()


def _passed(done: int, batch: int, every: int) -> bool:
    """Whether the last ``batch`` of ``done`` images crossed a multiple of ``every``."""
    return done // every > (done - batch) // every


def _sha256_of_pictures(faces: FaceSet, holes: HoleSet) -> str:
    """One checksum over those of all pictures, in their order."""
    return hashlib.sha256("\n".join([*faces.sha256, *holes.sha256]).encode()).hexdigest()
