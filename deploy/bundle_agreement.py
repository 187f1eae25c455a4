"""Whether the files of a bundle tell of one model: names, shapes, types, classes and numbers are compared."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridnet.deploy.layout import ANN_INT8, ONNX_FIXED, ONNX_FLOAT
from hybridnet.deploy.netx.file import read_net
from hybridnet.errors import BundleError
from hybridnet.program.bridge import fixed_encodings
from hybridnet.program.layers import FixedConvLIF, FixedProgram, FloatProgram, Stream
from hybridnet.program.outputs import LOGITS
from hybridnet.support.onnx_file import Tensor, Type, check_cost, errors_in, interface, read_model
from hybridnet.support.sealed import EXPORT_AGAIN, AnyFile

if TYPE_CHECKING:
    from hybridnet.deploy.bundle_parts import Bundle

MAX_INPUT = 2**28
"""Numbers of one input of one view."""


def check_agreement(bundle: Bundle) -> None:
    """Compare manifest, spiking program, `.net` files and ONNX graphs.

    Raises:
        BundleError: If two of them contradict each other, or a graph asks for too much; see `onnx_file`.
    """
    _check_model(bundle)
    _check_bridge(bundle)
    _check_nets(bundle)
    _check_ann(bundle, bundle.ann_path)
    if ANN_INT8 in bundle.manifest.files:
        _check_ann(bundle, bundle.file(ANN_INT8))
    _check_spiking(bundle.file(ONNX_FIXED), bundle.fixed)
    _check_spiking(bundle.file(ONNX_FLOAT), bundle.program)


def _check_model(bundle: Bundle) -> None:
    """What the manifest says of the model must fit itself and the spiking program."""
    manifest, steps = bundle.manifest, bundle.program.steps
    model, labels = manifest.model, manifest.labels
    if tuple(stream.name for stream in bundle.program.streams) != manifest.streams:
        raise _differs(bundle, "the spiking program has other streams than the manifest")
    if any(min(shape, default=1) < 1 or math.prod(shape) > MAX_INPUT for shape in model.inputs.values()):
        raise _differs(bundle, f"an input has no numbers, or more than {MAX_INPUT}")
    for stream in bundle.program.streams:
        if model.inputs.get(stream.input_name) != (steps, *stream.input_shape):
            raise _differs(bundle, f"the spiking program reads another {stream.input_name} than the manifest tells")
    if model.config is not None and (labels is None or len(labels) != model.config.num_classes):
        raise _differs(
            bundle, f"{len(labels or ())} labels are not the {model.config.num_classes} classes of the model"
        )
    if labels is not None and (model.outputs != (LOGITS,) or not labels):
        raise _differs(bundle, f"there are labels, and the outputs are {', '.join(model.outputs)}")
    if (read := model.preprocess) is not None:
        given = {"i_frame": (3,), "motion_vectors": (read.steps, 2), "residuals": (read.steps, 3)}
        if model.inputs != {name: (*shape, read.crop, read.crop) for name, shape in given.items()}:
            raise _differs(bundle, "the model's inputs are not what its preprocessing gives")


def _check_bridge(bundle: Bundle) -> None:
    """The manifest must say of each tensor what follows from the program."""
    layers = {layer.name: layer for layer in bundle.program.layers()}
    for tensor in bundle.bridge:
        layer = layers.get(tensor.layer)
        if layer is None or tensor.name not in bundle.manifest.ann_inputs:
            raise _differs(bundle, f"bridge tensor {tensor.name} joins no layer to the ANN half")
        frames = (bundle.program.steps,) if tensor.kind == "spikes" else ()
        expected = (*frames, *layer.geometry.output_shape)
        own, whole = bundle.encodings[tensor.name], fixed_encodings((tensor,), bundle.fixed)[tensor.name]
        encoding = whole.shifted(own.shift, own.bits) if own.shift and tensor.kind == "potential" else whole
        if tensor.shape != expected or own != encoding or (own.shift and not 1 < own.bits < whole.bits):
            raise _differs(
                bundle,
                f"bridge tensor {tensor.name} is {tensor.shape} in the manifest, or differs in scale or bits;"
                f" its layer gives {expected}, scale {encoding.scale:g}, {encoding.bits} bits",
            )


def _check_nets(bundle: Bundle) -> None:
    """The `.net` files, which are read within limits, must hold the very program, which then keeps them too."""
    for name, file in bundle.net_paths.items():
        in_float, in_integers, steps = read_net(file)
        pairs = [*_named(name, bundle.program, in_float), *_named(name, bundle.fixed, in_integers)]
        if steps != bundle.program.steps or not all(_same(ours, theirs) for ours, theirs in pairs):
            raise BundleError("holds another stream than the spiking program", where=file, remedy=EXPORT_AGAIN)


def _named(name: str, program: FloatProgram | FixedProgram, theirs: Stream[Any]) -> Iterator[tuple[Any, Any]]:
    """The two streams without their layers, then their layers, one by one; what one lacks is None."""
    ours: Stream[Any] = next(stream for stream in program.streams if stream.name == name)
    yield dataclasses.replace(ours, layers=()), dataclasses.replace(theirs, layers=())
    yield from zip_longest(ours.layers, theirs.layers)


def _same(ours: Any, theirs: Any) -> bool:
    return type(ours) is type(theirs) and all(
        np.array_equal(getattr(ours, field.name), getattr(theirs, field.name)) for field in dataclasses.fields(ours)
    )


def _check_ann(bundle: Bundle, file: AnyFile) -> None:
    manifest = bundle.manifest
    shapes = {**manifest.model.inputs, **{tensor.name: tensor.shape for tensor in bundle.bridge}}
    inputs, outputs = _of_one_view(file)
    wanted = {name: (Type.FLOAT, (1, *shapes[name])) for name in manifest.ann_inputs if name in shapes}
    if inputs != wanted or len(wanted) != len(manifest.ann_inputs):
        raise _graph(file, "inputs", inputs, wanted)
    odd = {name for name, (kind, shape) in outputs.items() if kind != Type.FLOAT or shape[:1] != (1,)}
    if odd or tuple(outputs) != manifest.model.outputs:
        raise _graph(file, "outputs", outputs, dict.fromkeys(manifest.model.outputs, (Type.FLOAT, (1,))))
    if manifest.labels is not None and outputs[LOGITS][1] != (1, len(manifest.labels)):
        raise _graph(file, "outputs", outputs, {LOGITS: (Type.FLOAT, (1, len(manifest.labels)))})


def _check_spiking(file: AnyFile, program: FloatProgram | FixedProgram) -> None:
    inputs, outputs = _of_one_view(file)
    steps = program.steps
    wanted = {s.input_name: (Type.FLOAT, (1, steps, *s.input_shape)) for s in program.streams}
    if inputs != wanted:
        raise _graph(file, "inputs", inputs, wanted)
    given: dict[str, Tensor] = {}
    for layer in program.layers():
        fixed, shape = isinstance(layer, FixedConvLIF), layer.geometry.output_shape
        potential = Type.INT32 if fixed else Type.FLOAT
        given[f"{layer.name}.spikes"] = Type.BOOL, (1, steps, *shape)
        given[f"{layer.name}.potentials"] = potential, (1, steps, *shape)
        if layer.read_out:
            given[f"{layer.name}.readout"] = potential, (1, *shape)
    if given != {name: outputs.get(name) for name in given}:
        raise _graph(file, "outputs", outputs, given)


def _of_one_view(file: AnyFile) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    model = read_model(file)
    with errors_in(file):
        return interface(model, check_cost(model))


def _differs(bundle: Bundle, what: str) -> BundleError:
    return BundleError(what, where=bundle.path, remedy=EXPORT_AGAIN)


def _graph(file: AnyFile, side: str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> BundleError:
    """One line on the first tensor that is not as it should be."""
    name = next((n for n in (*wanted, *found) if found.get(n) != wanted.get(n)), "order")
    texts = ["none" if t is None else f"{Type(t[0]).name.lower()} {t[1]}" for t in (found.get(name), wanted.get(name))]
    what = f"its {side} are not those of the manifest: {name} is {texts[0]} and should be {texts[1]}"
    return BundleError(what, where=file, remedy=EXPORT_AGAIN)
