"""Finding the weights of a model in whatever a training wrapped them in.

They lie at an address P if what begins with P and a dot has, without it, exactly the model's names and shapes. Dicts in
dicts and prefixes of names (`module.` of DDP, `model.` of Lightning) are the same to this law. What torch.compile, FSDP
and checkpointing insert into names, anywhere, counts as not there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hybridnet.errors import CheckpointError
from hybridnet.model.addresses import INSERTED, Leaf, above, below, leaves_of, plain, readings

LISTED = 3
"""Names or addresses of a kind that an error or a note lists."""

MOST_LISTED = 8
"""Addresses of weights that fit; nobody is asked to choose from more."""


@dataclass(frozen=True, eq=False)
class Found:
    """Weights that fit a model.

    Attributes:
        weights: By the model's own names, each in the model's own type.
        note: Where they were and what was done to them, in a few words; empty if they were the whole file.
    """

    weights: Mapping[str, Tensor]
    note: str


@dataclass
class Candidate:
    """What begins with one address, beside what the model needs.

    Attributes:
        address: What all begins with; empty if that is everything.
        taken: The tensors that the model has, by its own names.
        others: Addresses of tensors that it has not, or that are there twice.
    """

    address: str
    taken: dict[str, Leaf] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def fits(self, own: Mapping[str, Tensor]) -> bool:
        """Whether it has the model's names and shapes, and nothing else."""
        if self.others or len(self.taken) < len(own):
            return False
        return all(leaf.tensor.shape == own[name].shape for name, leaf in self.taken.items())

    def misfits(self, own: Mapping[str, Tensor]) -> list[str]:
        """Names that are missing or unknown, and shapes that differ, each kind in one sentence."""
        given = {name: tuple(leaf.tensor.shape) for name, leaf in self.taken.items()}
        shapes = [f"{n} is {given[n]}, the model's {tuple(own[n].shape)}" for n in given if given[n] != own[n].shape]
        missing = [name for name in own if name not in given]
        unknown = [name[len(self.address) :].removeprefix(".") for name in self.others]
        kinds = (("it lacks ", missing), ("the model has no ", unknown), ("", shapes))
        return [text + _some(names) for text, names in kinds if names]

    def told(self) -> str:
        """Where it is: the address of a dict or list, and the prefix of the names in it; empty for the whole file."""
        holder = next(iter(self.taken.values())).holder if self.taken else self.address
        if len(holder) >= len(self.address):
            return f"'{self.address}'" if self.address else ""
        prefix = self.address[len(holder) :].removeprefix(".")
        return f"'{holder}', prefix '{prefix}.' removed" if holder else f"prefix '{prefix}.' removed"


def find_weights(content: object, own: Mapping[str, Tensor], wanted: str | None = None) -> Found:
    """The weights of a model in the content of a checkpoint.

    Args:
        content: Dicts and lists, of tensors and of anything else, which is left alone.
        own: The model's own state, whose names, shapes and types count.
        wanted: An address that they lie at or below; anywhere if None.

    Raises:
        CheckpointError: If nothing fits exactly, more than one thing does, or a number would change its value.
    """
    start = (wanted or "").rstrip(".")
    leaves = list(leaves_of(content))
    kept = [leaf for leaf in leaves if below(leaf.address, start)]
    if wanted is not None and not kept:
        held = _some(sorted({leaf.holder or "the file itself" for leaf in leaves})) or "nothing"
        raise CheckpointError(f"holds no tensors at {wanted!r}", remedy=f"It has tensors in: {held}")
    candidates = [candidate for candidate in _candidates(kept, own, start) if below(candidate.address, start)]
    fitting = _different(candidate for candidate in candidates if candidate.fits(own))
    if not fitting:
        raise _nearest(candidates, kept, own)
    if len(fitting) > 1:
        names = ", ".join(repr(candidate.address) for candidate in fitting[:MOST_LISTED])
        more = ", …" if len(fitting) > MOST_LISTED else ""
        remedy = f"Say which: --weights {fitting[0].address}"
        raise CheckpointError(f"holds different weights that fit the model: {names}{more}", remedy=remedy)
    return _found(fitting[0], kept, own)


def _candidates(leaves: list[Leaf], own: Mapping[str, Tensor], start: str) -> Iterable[Candidate]:
    """One at `start`, and one at each address below which there is a name of the model's."""
    names = {plain(name): name for name in own}
    longest = max((name.count(".") + 1 for name in names), default=0)
    read = [{a: names[n] for a, n in readings(leaf.address, longest) if n in names} for leaf in leaves]
    found = {start: Candidate(start)}
    for leaf, ways in zip(leaves, read, strict=True):
        for address, name in ways.items():
            found.setdefault(address, Candidate(address)).taken.setdefault(name, leaf)
    for leaf, ways in zip(leaves, read, strict=True):
        for address in above(leaf.address):
            if address in found and (address not in ways or found[address].taken[ways[address]] is not leaf):
                found[address].others.append(leaf.address)
    groups = _tied(own)
    for candidate in found.values():
        for group in groups:
            held = [candidate.taken[name] for name in group if name in candidate.taken]
            candidate.taken |= {name: held[0] for name in group if held and name not in candidate.taken}
    return found.values()


def _tied(own: Mapping[str, Tensor]) -> list[list[str]]:
    """Names of the model that share one tensor, which a file may hold once."""
    groups: dict[object, list[str]] = defaultdict(list)
    for name, tensor in own.items():
        if tensor.numel():
            groups[tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _different(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Without those whose every number is that of an earlier one; of many, some."""
    kept: list[Candidate] = []
    for candidate in candidates:
        if not any(all(_same(leaf, one.taken[n]) for n, leaf in candidate.taken.items()) for one in kept):
            kept.append(candidate)
        if len(kept) > MOST_LISTED:
            break
    return kept


def _same(one: Leaf, other: Leaf) -> bool:
    a, b = one.tensor, other.tensor
    return a is b or (a.dtype == b.dtype and torch.equal(a, b))


def _nearest(candidates: list[Candidate], leaves: list[Leaf], own: Mapping[str, Tensor]) -> CheckpointError:
    """Why nothing fits, told of what comes nearest."""

    def fit(candidate: Candidate) -> tuple[int, int, int]:
        right = sum(leaf.tensor.shape == own[name].shape for name, leaf in candidate.taken.items())
        return right, len(candidate.taken), -len(candidate.others)

    if not leaves:
        return CheckpointError("holds no tensors")
    nearest = max(candidates, key=fit)
    if not nearest.taken:
        largest = Counter(leaf.holder for leaf in leaves).most_common(1)[0][0]
        nearest = Candidate(largest, {}, [leaf.address for leaf in leaves if leaf.holder == largest])
    where = f" (nearest: {nearest.told()})" if nearest.told() else ""
    return CheckpointError(f"does not fit the model{where}: {'; '.join(nearest.misfits(own))}")


def _found(candidate: Candidate, leaves: list[Leaf], own: Mapping[str, Tensor]) -> Found:
    for group in _tied(own):
        for name in group[1:]:
            if not _same(candidate.taken[group[0]], candidate.taken[name]):
                raise CheckpointError(f"has {group[0]} and {name} apart, which are one tensor in the model")
    notes = [candidate.told()] if candidate.told() else []
    inserted = {part for leaf in candidate.taken.values() for part in leaf.address[len(candidate.address) :].split(".")}
    notes += [f"'{part}.' within names removed" for part in sorted(inserted & INSERTED)]
    holders = {leaf.holder for leaf in candidate.taken.values()}
    rest = [leaf.address for leaf in leaves if leaf.holder in holders and not below(leaf.address, candidate.address)]
    notes += [f"not used: {_some(rest)}"] if rest else []
    types = Counter(
        f"{leaf.tensor.dtype} taken as {own[n].dtype}".replace("torch.", "")
        for n, leaf in candidate.taken.items()
        if leaf.tensor.dtype != own[n].dtype
    )
    notes += [f"{count} of {len(own)} tensors in {change}, which keeps every number" for change, count in types.items()]
    weights = {name: _exactly(candidate.taken[name].tensor, name, own[name].dtype) for name in own}
    return Found(weights, "; ".join(notes))


def _exactly(tensor: Tensor, name: str, dtype: torch.dtype) -> Tensor:
    """In another type.

    Raises:
        CheckpointError: If not every number keeps its value, or whole numbers stand for others, as quantised ones do.
    """
    if tensor.dtype == dtype:
        return tensor
    given, own = (str(kind).removeprefix("torch.") for kind in (tensor.dtype, dtype))
    stands = dtype.is_floating_point and not tensor.is_floating_point()
    if stands or tensor.is_complex() or dtype.is_complex or torch.bool in (tensor.dtype, dtype):
        raise CheckpointError(f"has {name} in {given}, the model in {own}", remedy=f"Save it as {own}")
    changed = tensor.to(dtype)
    widest = torch.float64 if tensor.is_floating_point() else torch.int64
    before, after = tensor.to(widest), changed.to(widest)
    if not ((before == after) | (before.isnan() & after.isnan())).all():
        raise CheckpointError(
            f"has {name} in {given}, with numbers that {own} does not hold", remedy=f"Save it as {own}"
        )
    return changed


def _some(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
