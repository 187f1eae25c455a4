"""Starting from what another training learned, in place of random weights."""

from __future__ import annotations

from hybridnet.errors import CheckpointError
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.support.sealed import AnyFile

CLASSIFIER = "head."
"""What belongs to the classes, by the beginning of its name."""


def start_from(model: HybridNet, labels: tuple[str, ...], path: AnyFile) -> frozenset[str] | None:
    """Take the weights of a checkpoint; those of the classifier only if it has all of these labels, in any order.

    Returns the clips that these were trained on, by SHA-256; None if it does not list them.

    Leaks and thresholds are weights too. Inputs may have been scaled otherwise, as long as shapes agree.

    Raises:
        CheckpointError: If the file cannot be read, or a weight is missing, one too many or of another shape.
    """
    source = load_checkpoint(path)
    taken, own = dict(source.model.state_dict()), dict(model.state_dict())
    if set(labels) <= set(source.labels):
        rows = [source.labels.index(label) for label in labels]  # one per class
        last = f"{CLASSIFIER}{len(model.head) - 1}."
        taken = {n: w[rows] if n.startswith(last) else w for n, w in taken.items()}
    else:
        taken, own = ({n: w for n, w in x.items() if not n.startswith(CLASSIFIER)} for x in (taken, own))
    for name in sorted(own.keys() | taken.keys()):
        here, there = (tuple(weights[name].shape) if name in weights else None for weights in (own, taken))
        if here != there:
            raise CheckpointError(
                f"has {name} {_shown(there)}, the model to train {_shown(here)}",
                where=path,
                remedy="Start from a checkpoint of the same config; only the classes may differ",
            )
    model.load_state_dict(taken, strict=False)
    return source.learned


def _shown(shape: tuple[int, ...] | None) -> str:
    return "not at all" if shape is None else f"of shape {shape}"
