"""The ANN half in int8, by ONNX Runtime's static quantisation: QDQ, weights int8 per channel, activations uint8.

Weights have 7 bits, −64 … 64. CPUs without VNNI add products in pairs, in 16 bits that saturate: 2·255·127 does not fit
there, 2·255·64 does. So every sum is exact whatever the instruction set; the file's metadata say so (INT8_WEIGHT_BITS).

Ranges of activations come from what the ANN half is really fed: images, and rounded potentials that crossed the bridge.
Nodes whose quantisation costs most stay in float (`nodes_in_float`). The file depends on its inputs alone.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from hybridnet.deploy.layout import INT8_WEIGHT_BITS
from hybridnet.errors import BackendError
from hybridnet.report.counting.int8 import FLOAT_OUTPUT, WEIGHTED
from hybridnet.support.files import temporary_folder
from hybridnet.support.onnx_file import read_model
from hybridnet.support.sealed import AnyFile, content_of
from hybridnet.support.text import said

Feed = Mapping[str, np.ndarray[Any, Any]]
Method = Literal["minmax", "percentile", "entropy"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy")

PERCENTILE = 99.99
"""The percentage of an activation's magnitudes that its range keeps, by method `percentile`."""


@dataclass(frozen=True, eq=False)
class AnnQuantiser:
    """A graph made ready once, and the ranges of its activations by method.

    Attributes:
        model: The graph, folded and with shapes.
        nodes: Names of the nodes that can be quantised: those with weights.
    """

    model: onnx.ModelProto
    nodes: tuple[str, ...]
    _ranges: dict[Method, Any] = field(default_factory=dict)

    @staticmethod
    def load(path: AnyFile) -> AnnQuantiser:
        """Read an ANN half.

        Raises:
            BackendError: If ONNX Runtime cannot prepare it, or no node has weights.
        """
        from onnxruntime.quantization.shape_inference import quant_pre_process

        with temporary_folder() as folder, _quiet():
            given, ready = folder / "given.onnx", folder / "ready.onnx"
            given.write_bytes(content_of(path))
            try:
                quant_pre_process(str(given), str(ready), skip_symbolic_shape=True)
            except Exception as error:  # ONNX Runtime's errors share no public base class
                raise BackendError(f"cannot be prepared for int8 ({said(error)})", where=path) from error
            model = onnx.load(str(ready))
        weights = {tensor.name for tensor in model.graph.initializer}
        nodes = tuple(n.name for n in model.graph.node if n.op_type in WEIGHTED and weights.intersection(n.input))
        if not nodes:
            raise BackendError("no operator in it has weights, which int8 is for", where=path, remedy="Leave int8 out")
        return AnnQuantiser(model, nodes)

    def observe(self, method: Method, feeds: Sequence[Feed]) -> None:
        """Find the range of every activation on some inputs, (N, …) by name each."""
        from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

        kinds = {
            "minmax": (CalibrationMethod.MinMax, {"symmetric": False}),
            "percentile": (CalibrationMethod.Percentile, {"percentile": PERCENTILE, "num_bins": 2048}),
            "entropy": (CalibrationMethod.Entropy, {"num_bins": 128, "num_quantized_bins": 128}),
        }
        kind, options = kinds[method]
        with temporary_folder() as folder, _quiet():
            plain, augmented = folder / "plain.onnx", folder / "augmented.onnx"
            onnx.save(self.model, str(plain))
            calibrator = create_calibrator(
                plain, [*WEIGHTED], str(augmented), calibrate_method=kind, extra_options=options
            )
            for feed in feeds:
                calibrator.collect_data(_Reader(feed))
            self._ranges[method] = calibrator.compute_data()

    def write(self, path: Path, method: Method, nodes_in_float: Sequence[str] = ()) -> None:
        """Write the graph in int8 but for some nodes; `observe` by the same method comes first."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        weightless = [node.name for node in self.model.graph.node if node.name not in self.nodes]
        with _quiet():
            quantiser = QDQQuantizer(
                copy.deepcopy(self.model),
                per_channel=True,
                reduce_range=True,  # 7 bits
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=self._ranges[method],
                nodes_to_quantize=[],  # all, but for
                nodes_to_exclude=[*weightless, *nodes_in_float],
                op_types_to_quantize=[*WEIGHTED],
                extra_options={
                    "ActivationSymmetric": False,
                    "WeightSymmetric": True,
                    "OpTypesToExcludeOutputQuantization": [*FLOAT_OUTPUT],
                },
            )
            quantiser.quantize_model()
            quantiser.model.topological_sort()  # it leaves new nodes at the end
        onnx.helper.set_model_props(quantiser.model.model, dict([INT8_WEIGHT_BITS]))
        onnx.save(quantiser.model.model, str(path))


def write_dynamic(source: AnyFile, path: Path) -> None:
    """The graph with int8 weights, and activations quantised as they come; only MatMul and Gemm gain by it."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(
            read_model(source), str(path), op_types_to_quantize=["MatMul", "Gemm"], per_channel=True,
            reduce_range=True, weight_type=QuantType.QInt8,
        )  # fmt: skip


def write_half(source: AnyFile, path: Path) -> None:
    """The graph with weights and arithmetic in float16; inputs and outputs stay float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet():
        model = convert_float_to_float16(read_model(source), keep_io_types=True, disable_shape_infer=True)
    onnx.save(model, str(path))


class _Reader:
    """One input as ONNX Runtime's calibrators take inputs."""

    def __init__(self, feed: Feed) -> None:
        self._left = [dict(feed)]

    def get_next(self) -> dict[str, Any] | None:
        """The input, then None."""
        return self._left.pop() if self._left else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime prints progress to stdout, and warns on the root logger of what is done here on purpose."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
