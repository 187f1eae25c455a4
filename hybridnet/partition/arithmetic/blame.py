"""Which operation stands in the way: the first of those that are no sums of products, or the last that mixes steps."""

from __future__ import annotations

from collections.abc import Sequence

from hybridnet.partition.arithmetic.expanding import Expansion
from hybridnet.partition.arithmetic.frames import Frame, Step, made_by
from hybridnet.partition.arithmetic.places import layer_before


def first_unread(frame: Frame, found: Expansion) -> Frame:
    """The first of the operations that the host computes one behind the other, to give `frame`."""
    unread, seen, todo = set(found.unread), set(), [made_by(frame)]
    while todo:
        one = todo.pop()
        seen.add(one)
        before = {made_by(operand) for operand in one.operands} - seen
        todo += [f for f in before if f.kind == "host" or f in unread or _is_the_hosts(f, found)]
    return min((f for f in seen if f.kind == "host" or f in unread), key=lambda f: f.number, default=made_by(frame))


def _is_the_hosts(frame: Frame, found: Expansion) -> bool:
    variables = found.forms[frame].variables
    return frame.kind == "elementwise" and bool(variables) and all(v.kind == "source" for v in variables)


def mixer(frame: Frame) -> Frame | None:
    """The last operation before a frame on which steps act together; None without."""
    return max(filter(mixes, (frame, *frame.before())), key=lambda f: f.number, default=None)


def mixes(frame: Frame) -> bool:
    """Whether an operation takes several steps at once."""
    if frame.kind == "move":
        return False
    taken = [operand for operand in frame.operands if operand.kind == "move"]
    taken += [frame] if frame.kind == "host" else []
    last = last_steps(sorted({*frame.before(), frame}, key=lambda f: f.number)) if taken else {}
    return any(len({last[operand] for operand in window.operands}) > 1 for window in taken)


def last_steps(frames: Sequence[Frame]) -> dict[Frame, int]:
    """The last step of an input that each frame depends on; −1 without. Frames come behind their operands."""
    last: dict[Frame, int] = {}
    for frame in frames:
        own = frame.op.number if isinstance(frame.op, Step) else None
        last[frame] = max((last[operand] for operand in frame.operands), default=-1 if own is None else own)
    return last


def named(frame: Frame) -> dict[str, str]:
    """An operation and its place, for a reason."""
    what = frame.what.lower().removeprefix("_").removeprefix("native_").removesuffix("_with_indices")
    return {"what": what, "where": frame.path or f"{layer_before(frame) or 'the model'} → {what}"}
