"""What a model returns, as tensors by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hybridnet.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

LOGITS = "logits"
"""Name of the one output of a classifier, (N, classes)."""

OUTPUT = "output"
"""Name of the one output of a model whose classes nobody named."""


def named_outputs(result: object, single: str = LOGITS) -> dict[str, Tensor]:
    """Tensors by name: a single one is called `single`, those of a tuple or list `output_0` and so on.

    Args:
        result: A tensor (N, …), a flat tuple or list of such, or a mapping of names to such.
        single: Name of a single tensor.

    Raises:
        ModelError: If it is anything else.
    """
    from torch import Tensor

    if isinstance(result, Tensor):
        named: dict[str, object] = {single: result}
    elif isinstance(result, Mapping):
        named = {str(name): value for name, value in result.items()}
    elif isinstance(result, (tuple, list)):
        named = {f"{OUTPUT}_{index}": value for index, value in enumerate(result)}
    else:
        named = {OUTPUT: result}
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    if not tensors or len(tensors) != len(named):
        raise ModelError(
            f"returns {type(result).__name__}, not tensors",
            where="model",
            remedy="Return a tensor, a flat tuple of tensors or a dict of tensors from forward",
        )
    return tensors
