"""What ONNX cannot hold is told with the operation and the module that asks for it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, fx, nn

from hybridnet.deploy.onnx.export import export_module
from hybridnet.errors import ModelError
from hybridnet.partition.arithmetic.halves import cut
from hybridnet.partition.arithmetic.read import read


class Odd(nn.Module):
    """Its Bessel function has no ONNX form."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) to the same."""
        return torch.special.i0(x + 1)


def refusal(module: nn.Module, tmp_path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        export_module(module, {"x": torch.rand(2, 3)}, tmp_path / "x.onnx", what="ANN half", outputs=("y",))
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


def test_an_operation_without_onnx_form_is_named_with_its_module(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), Odd()).eval()
    halves = cut(read(model, {"input": torch.rand(2, 3)}), model, {"input": torch.rand(2, 3)})
    told = refusal(halves.ann, tmp_path)
    assert told.startswith("1: i0, which stays with the host (ANN half), has no ONNX form. ")
    assert "\n" not in told


@pytest.mark.slow
def test_a_module_that_is_not_looked_into_is_named_by_its_path(tmp_path: Path) -> None:
    class Whole(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return True

    model = nn.Sequential(nn.ReLU(), Odd())
    told = refusal(fx.GraphModule(model, Whole().trace(model)), tmp_path)
    assert told.startswith("1: Odd, which stays with the host (ANN half), has no ONNX form. ")
