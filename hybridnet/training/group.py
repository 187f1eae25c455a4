"""The processes that train one model together, as `torchrun` starts them; one alone is a group of one.

Every process sees the same order of views and takes every size-th of each batch, so that a step is that of one process
with the whole batch, up to the order of sums. Only rank 0 writes.

A group is left with nothing of it alive. Gloo's threads drop the tensors of the last sum when they come to it; one that
needs Python for that while the process ends aborts the process (pytorch #190489). Destroying a group joins its threads,
but only once nobody holds the group.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.distributed.nn  # first imported with a group, it would hold that group for good, as default of arguments
from torch import Tensor

from hybridnet.errors import ConfigError


@dataclass(frozen=True)
class Group:
    """This process among its fellows.

    Attributes:
        rank: Its number, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> slice:
        """Which of `count` items are this process's."""
        return slice(self.rank, count, self.size)

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, values: Tensor) -> Tensor:
        """The values of all processes, (size, …)."""
        if self.size == 1:
            return values[None]
        every = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(every, values)
        return torch.stack(every)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


ALONE = Group()


@contextmanager
def process_group(device: str) -> Iterator[tuple[Group, torch.device]]:
    """Join the group that `torchrun` set up, gloo on the CPU and NCCL on CUDA, or be alone; yields the device too.

    Args:
        device: `cpu` or `cuda`; with several processes on a machine each takes the GPU of its local rank.

    Raises:
        ConfigError: If the device is not there.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device not in ("cpu", "cuda"):
        raise ConfigError("device", device, "cpu, cuda")
    if device == "cuda" and local >= torch.cuda.device_count():
        raise ConfigError("device", device, f"cpu, as this process would need GPU {local}, counting from 0")
    chosen = torch.device("cuda", local) if device == "cuda" else torch.device("cpu")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE, chosen
        return
    if device == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Group(dist.get_rank(), dist.get_world_size()), chosen
    finally:
        gc.collect()  # DistributedDataParallel is a cycle, and holds the group
        dist.destroy_process_group()
