"""Which operation stands in the way: the first of those that are no sums of products, or the last that mixes steps."""

from __future__ import annotations

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
    return any(len({last_step(operand) for operand in window.operands}) > 1 for window in taken)


def last_step(frame: Frame) -> int:
    """The last step of an input that a frame depends on; −1 without."""
    steps = (f.op.number for f in (frame, *frame.before()) if isinstance(f.op, Step))
    return max((step for step in steps if step is not None), default=-1)


def named(frame: Frame) -> dict[str, str]:
    """An operation and its place, for a reason."""
    what = frame.what.lower().removeprefix("_").removeprefix("native_").removesuffix("_with_indices")
    return {"what": what, "where": frame.path or f"{layer_before(frame) or 'the model'} → {what}"}
