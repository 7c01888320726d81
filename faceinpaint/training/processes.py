"""Several processes that train as one: started together, averaged together, interrupted and ended together."""

from __future__ import annotations

import gc
import inspect
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel

from faceinpaint.errors import ConfigError
from faceinpaint.presets import Preset

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def launch(preset: Preset, accelerator: str = "cpu", devices: int | str = 1) -> Fabric:
    """Start the processes of a run. Under torchrun they are already there: all of them are taken.

    Args:
        preset: gives the precision.
        accelerator, devices: as Lightning Fabric names them; ``devices`` is not looked at under torchrun.

    Raises:
        ConfigError: there are fewer GPUs here than asked for.
    """
    from lightning_fabric import Fabric  # seconds, which only a training should cost
    from lightning_fabric.strategies import DDPStrategy

    nodes = 1
    if torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    there = torch.cuda.device_count()
    if accelerator == "cuda" and isinstance(devices, int) and devices > there:
        raise ConfigError(f"{devices} GPUs are asked for, there are {there}", "Ask for no more than there are")
    # Buffers need no broadcast: all processes compute the same ones, and one that changed between two passes through
    # a critic would spoil their gradients.
    known = inspect.signature(DistributedDataParallel).parameters
    keep: dict[str, Any] = {next(n for n in ("forward_sync_buffers", "broadcast_buffers") if n in known): False}
    several = DDPStrategy(**keep)
    precision: Any = preset.precision
    fabric = Fabric(
        accelerator=accelerator, devices=devices, num_nodes=nodes, precision=precision,
        strategy="auto" if devices == 1 and nodes == 1 else several,
    )  # fmt: skip
    fabric.launch()
    return fabric


def disband(fabric: Fabric) -> None:
    """End together what :func:`launch` started, once all runs are over."""
    if fabric.world_size > 1:
        gc.collect()  # networks hold on to the process group, which does not end well while they live
        fabric.barrier()
        torch.distributed.destroy_process_group()


def is_of_lost_peer(error: RuntimeError) -> bool:
    """Whether an error says that another process of the run has ended.

    NCCL's errors have a type of their own. Gloo raises plain ones, known by its name or by what the system's network
    says of the other end ("connection closed by peer").
    """
    return isinstance(error, torch.distributed.DistError) or any(word in first_line(error) for word in ("gloo", "peer"))


def first_line(error: Exception) -> str:
    """The first line of an error's message; what follows is a stack."""
    return str(error).strip().partition("\n")[0]


class MeanOfProcesses(torch.autograd.Function):
    """Mean of a tensor over all processes. The loss is their losses' mean, so its gradient is such a mean, too."""

    @staticmethod
    def forward(ctx, x):
        return _mean_of_processes(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        return _mean_of_processes(grad)


def _mean_of_processes(x: Tensor) -> Tensor:
    total = x.clone()
    torch.distributed.all_reduce(total)
    return total.div_(torch.distributed.get_world_size())


class _SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the batches of all processes, all of one size.

    As :class:`torch.nn.SyncBatchNorm`, which there is on GPUs only.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        if not self.training:
            return super().forward(x)
        mean = MeanOfProcesses.apply(x.mean((0, 2, 3)))
        centred = x - mean[:, None, None]
        var = MeanOfProcesses.apply(centred.square().mean((0, 2, 3)))
        with torch.no_grad():
            count = torch.distributed.get_world_size() * x.numel() / x.shape[1]
            kept: Any = self  # torch types running statistics as optional; here they are always kept
            kept.running_mean.lerp_(mean, kept.momentum)
            kept.running_var.lerp_(var * (count / (count - 1)), kept.momentum)
            kept.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(var + self.eps)
        return centred * scale[:, None, None] + self.bias[:, None, None]


def share_statistics(network: nn.Module) -> None:
    """Turn every batch normalisation into one over all processes; weights and their names stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SharedBatchNorm2d


@contextmanager
def interruptible(several: bool) -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C is pressed; a second Ctrl-C interrupts at once.

    Of several processes, SIGTERM is noted too, and not obeyed at once: torchrun sends it to those that are left when
    one is lost, and they still have to say so. So :func:`faceinpaint.training.train.train` puts the old handler
    back, not this.
    """
    pressed: list[int] = []

    def note(number: int, frame: Any) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        before = signal.signal(signal.SIGINT, note)
        if several:
            signal.signal(signal.SIGTERM, note)
    except ValueError:  # not the main thread: nothing to catch
        yield pressed
        return
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
