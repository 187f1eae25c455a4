"""What a model without labels returns, in words: shapes, the largest of a few numbers, and where to get the rest."""

from __future__ import annotations

from hybridnet.report.numbers import NONE
from hybridnet.report.record.data import RunRecord

NAMED_BY = "export --labels FILE names its classes"


def returned_text(record: RunRecord) -> str:
    """What it returns, and what writes it; of a clip with the index of the largest of a few numbers."""
    shapes = ", ".join(f"{row.name} {(record.views, *row.shape)}" for row in record.outputs)
    it, *_ = record.outputs
    whole = "--output FILE.npz writes " + ("it" if len(record.outputs) == 1 else "them")
    if not it.largest:
        return f"It returns {shapes}; {whole}."
    if len(record.samples) > 1:
        return f"It returns {shapes}; {whole}, {NAMED_BY}."
    mean = "" if record.views == 1 else " in the mean over views"
    return f"Largest of {shapes}{mean}: index {largest_text(it.largest[0])}; {whole}, {NAMED_BY}."


def largest_text(index: int | None) -> str:
    """The index of the largest; `–` where several are equal."""
    return f"{NONE} (several are equal)" if index is None else str(index)
