"""N views of a model's inputs: the one form in which clips and arrays travel from their sources to the back-ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hybridnet.support.arrays import Array

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Views:
    """Views of a clip, or windows of arrays.

    Attributes:
        arrays: Per input of the model, (N, …), with the same N of 1 or more for all.
    """

    arrays: dict[str, Array]

    def __len__(self) -> int:
        """N."""
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, n: int) -> Views:
        """View n, (1, …) each; not copied."""
        if not 0 <= n < len(self):
            raise IndexError(f"views are numbered 0 to {len(self) - 1}, not {n}")
        return Views({name: values[n : n + 1] for name, values in self.arrays.items()})

    def __iter__(self) -> Iterator[Views]:
        """View after view, (1, …) each."""
        return (self[n] for n in range(len(self)))

    def tensors(self) -> dict[str, Tensor]:
        """The same numbers as tensors, by name; not copied."""
        import torch

        return {name: torch.from_numpy(values) for name, values in self.arrays.items()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Views:
        """Tensors (N, …) by name, on the CPU; not copied."""
        return cls({name: np.asarray(tensor.detach().numpy()) for name, tensor in tensors.items()})

    @classmethod
    def stack(cls, views: Iterable[Mapping[str, Array]], at_most: int) -> Views:
        """Single views (…) by name, one after another, each put in its place as it comes: none is there twice.

        Args:
            views: One or more, with the same inputs, shapes and types.
            at_most: How many there may be.
        """
        arrays: dict[str, Array] = {}
        count = 0
        for count, view in enumerate(views, 1):
            if count == 1:
                arrays = {name: np.empty((at_most, *values.shape), values.dtype) for name, values in view.items()}
            for name, values in view.items():
                arrays[name][count - 1] = values
        return cls({name: values[:count] for name, values in arrays.items()})

    @classmethod
    def join(cls, parts: Iterable[Views]) -> Views:
        """Views one after another; the parts have the same inputs."""
        parts = list(parts)
        if len(parts) == 1:
            return parts[0]
        return cls({name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays})
