"""What the host computes: the operations that some values need, up to the model's inputs and to what crosses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import fx

from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic.arrangement import Arranged
from hybridnet.partition.arithmetic.batches import freed
from hybridnet.partition.arithmetic.frames import Frame
from hybridnet.partition.arithmetic.layout import Layout, layout
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.moves import is_move
from hybridnet.partition.arithmetic.populations import Populations
from hybridnet.partition.arithmetic.tape import Operation, Ref
from hybridnet.partition.arithmetic.writing import Writer, aten


@dataclass(frozen=True, eq=False)
class Plan:
    """How to come by values of a tape.

    Attributes:
        crossing: Those made of what crosses.
        moved: Those put together of frames that other values hold.
        run: The operations that make all others, each for any batch.
    """

    crossing: dict[Ref, Layout] = field(default_factory=dict)
    moved: dict[Ref, Layout] = field(default_factory=dict)
    run: dict[Operation, Operation] = field(default_factory=dict)


@dataclass(eq=False)
class Host:
    """Writes operations of a tape.

    Attributes:
        pairs: Each operation with the same of a larger batch.
        populations: Writes what crosses; None if nothing does.
    """

    writer: Writer
    lifted: Lifted
    pairs: Mapping[Operation, Operation]
    populations: Populations | None
    _makers: dict[Ref, Operation] = field(default_factory=dict)
    _dtypes: dict[Ref, torch.dtype] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for operation in self.lifted.tape.operations:
            for ref, dtype in zip(operation.results, operation.dtypes, strict=True):
                if ref is not None:
                    self._makers[ref], self._dtypes[ref] = operation, dtype or torch.float32
        for name, ref in self.lifted.tape.inputs.items():
            self.writer.nodes[ref] = self.writer.inputs[name]

    def write(self, outputs: Iterable[object]) -> None:
        """Write all that these values need.

        Raises:
            PartitionError: If a needed operation depends on the batch's size in another way than by its axis.
        """
        plan = self._plan([ref for ref in outputs if isinstance(ref, Ref)])
        for ref, found in plan.crossing.items():
            self.writer.nodes[ref] = self._cast(self._from_populations(ref, found), ref)
        for operation in self.lifted.tape.operations:
            if operation in plan.run:
                kept = {ref: self.writer.nodes[ref] for ref in operation.results if ref in plan.crossing}
                self.writer.operation(plan.run[operation])
                self.writer.nodes.update(kept)
            for ref in (r for r in operation.results if r in plan.moved):
                frames = self._frames(ref)
                nodes = [self.writer.reshaped(self.frame(f), [_size(f)]) for f in frames]
                self.writer.nodes[ref] = self.writer.put_together(plan.moved[ref], nodes, [_size(f) for f in frames])

    def _plan(self, wanted: list[Ref]) -> Plan:
        """How to come by these values, from the last back to the inputs and to what crosses."""
        plan, seen = Plan(), set(self.writer.nodes)
        while wanted:
            ref = wanted.pop()
            if ref in seen:
                continue
            seen.add(ref)
            found = self._crossing(ref)
            if found is not None:
                plan.crossing[ref] = found
                continue
            operation = self._makers[ref]
            try:
                plan.run[operation] = freed(operation, self.pairs[operation])
                wanted += operation.reads()
            except PartitionError:
                moved = self._moved(operation, ref)
                if moved is None:
                    raise
                plan.moved[ref] = moved
                wanted += [self.lifted.where[frame] for frame in self._frames(ref)]
        return plan

    def write_frames(self, frames: Iterable[Frame]) -> None:
        """Write all that these frames need."""
        self.write(tuple(self.lifted.where[frame] for frame in frames))

    def frame(self, frame: Frame) -> fx.Node:
        """A frame that was written, (B, …) flat or not."""
        node, value = self.writer.nodes[self.lifted.where[frame]], self.lifted.holder(frame)
        if value.whole() is not None:
            return node
        found = layout(value, self.lifted.table.batch)
        if found is None:
            raise PartitionError(f"its {frame.what} does not lie along an axis of the batch", where=frame.path)
        return self.writer.taken_out(found, node, value.frames.index(frame), _size(frame))

    def number(self, frame: Frame) -> fx.Node:
        """The same in float32, whatever its type in the model: spikes of a neuron of the host may be booleans."""
        float32 = self._dtypes.get(self.lifted.where[frame], torch.float32) == torch.float32
        node = self.frame(frame)
        return node if float32 else self.writer.call(aten._to_copy.default, node, dtype=torch.float32)

    def _frames(self, ref: Ref) -> tuple[Frame, ...]:
        value = self.lifted.values[ref]
        return value.frames if isinstance(value, Arranged) else ()

    def _crossing(self, ref: Ref) -> Layout | None:
        """How a value is made of what crosses; None if it is not."""
        value = self.lifted.values[ref]
        if self.populations is None or not isinstance(value, Arranged):
            return None
        if not all(self.populations.crossing.crosses(frame) for frame in value.frames):
            return None
        return layout(value, self.lifted.table.batch)

    def _moved(self, operation: Operation, ref: Ref) -> Layout | None:
        """How a moved value is put together of frames that other values hold."""
        value = self.lifted.values[ref]
        if not is_move(operation) or not isinstance(value, Arranged):
            return None
        if any(self.lifted.where.get(frame, ref) == ref for frame in value.frames):
            return None
        return layout(value, self.lifted.table.batch)

    def _from_populations(self, ref: Ref, found: Layout) -> fx.Node:
        assert self.populations is not None  # noqa: S101
        value, frames = self.lifted.values[ref], self._frames(ref)
        if isinstance(value, Arranged) and value.whole() is not None:
            return self.populations.frame(frames[0])
        sizes = [_size(frame) for frame in frames]
        window = self.populations.crossing.window_of_spikes(frames)
        if window is not None:
            return self.writer.put_together(
                found, [self.writer.reshaped(self.populations.window(window), [sum(sizes)])], sizes
            )
        nodes = [self.writer.reshaped(self.populations.frame(frame), [_size(frame)]) for frame in frames]
        return self.writer.put_together(found, nodes, sizes)

    def _cast(self, node: fx.Node, ref: Ref) -> fx.Node:
        dtype = self._dtypes[ref]
        return node if dtype == torch.float32 else self.writer.call(aten._to_copy.default, node, dtype=dtype)


def _size(frame: Frame) -> int:
    return torch.Size(frame.shape).numel()
