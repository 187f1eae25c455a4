"""Whether the files of a bundle tell of one model: names, shapes, types, classes and numbers are compared.

`.net` files are compared where h5py is installed. The runtime has neither it nor Lava, which alone reads them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hybridnet.deploy.layout import ANN_INT8, ONNX_FIXED, ONNX_FLOAT, ONNX_STEP
from hybridnet.errors import BundleError
from hybridnet.program.bridge import POTENTIAL_BITS, bridge_name, fixed_encodings
from hybridnet.program.chains import netx_chains
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import label
from hybridnet.program.outputs import LOGITS
from hybridnet.program.spiking import AnyGraph, input_shapes, layer_shapes
from hybridnet.support.onnx_file import Tensor, Type, check_cost, errors_in, interface, read_model
from hybridnet.support.optional import is_there
from hybridnet.support.sealed import EXPORT_AGAIN, AnyFile

if TYPE_CHECKING:
    from hybridnet.deploy.bundle_parts import Bundle

ROUNDED = 0.5
"""How far rounded weights may be from the exact ones, as a share of their norm: far above what rounding does, and below
what the weights of another model do."""

MAX_INPUT = 2**28
"""Numbers of one input of one view."""


def check_agreement(bundle: Bundle) -> None:
    """Compare manifest, spiking program, `.net` files and ONNX graphs.

    Raises:
        BundleError: If two of them contradict each other, or a graph asks for too much; see `onnx_file`.
    """
    _check_forms(bundle)
    _check_model(bundle)
    _check_fed(bundle)
    _check_bridge(bundle)
    _check_chains(bundle)
    _check_spiking(bundle.file(ONNX_FIXED), bundle.fixed)
    _check_spiking(bundle.file(ONNX_FLOAT), bundle.program)
    _check_step(bundle.file(ONNX_STEP), bundle.fixed)
    _check_front(bundle)
    _check_ann(bundle, bundle.ann_path)
    if ANN_INT8 in bundle.manifest.files:
        _check_ann(bundle, bundle.file(ANN_INT8))


def _check_model(bundle: Bundle) -> None:
    """What the manifest says of the model must fit itself and the spiking program."""
    manifest = bundle.manifest
    model, labels = manifest.model, manifest.labels
    if any(min(shape, default=1) < 1 or math.prod(shape) > MAX_INPUT for shape in model.inputs.values()):
        raise _differs(bundle, f"an input has no numbers, or more than {MAX_INPUT}")
    if model.config is not None and (labels is None or len(labels) != model.config.num_classes):
        raise _differs(
            bundle, f"{len(labels or ())} labels are not the {model.config.num_classes} classes of the model"
        )
    if unknown := sorted(set(manifest.placement.placed) - set(layer_shapes(bundle.program))):
        raise _differs(bundle, f"the manifest places {unknown[0]}, which the spiking program lacks")
    if labels is not None and (model.outputs != (LOGITS,) or not labels):
        raise _differs(bundle, f"there are labels, and the outputs are {', '.join(model.outputs)}")
    if (read := model.preprocess) is not None:
        given = {"i_frame": (3,), "motion_vectors": (read.steps, 2), "residuals": (read.steps, 3)}
        if model.inputs != {name: (*shape, read.crop, read.crop) for name, shape in given.items()}:
            raise _differs(bundle, "the model's inputs are not what its preprocessing gives")


def _check_fed(bundle: Bundle) -> None:
    """Each input of the spiking half must be one of the model's, as the manifest tells, or come from the front."""
    manifest, shapes = bundle.manifest, input_shapes(bundle.program)
    for name, time in manifest.feeds.items():
        given, wanted = manifest.model.inputs.get(name, ()), shapes.get(name, ())
        fits = time is None or 0 <= time < len(given)
        moved = given if time is None or not fits else (given[time], *given[:time], *given[time + 1 :])
        still = time is None
        steps_fit = still or (moved[:1] and moved[0] >= bundle.program.steps)
        frame, frame_wanted = (moved, wanted) if still else (moved[1:], wanted[1:])
        if not given or not wanted or not fits or not steps_fit or math.prod(frame) != math.prod(frame_wanted):
            raise _differs(bundle, f"the spiking program reads another {name} than the manifest tells")
    still_ones = {node.name for node in bundle.program.inputs if node.still}
    if any((time is None) != (name in still_ones) for name, time in manifest.feeds.items()):
        raise _differs(bundle, "the manifest tells of another axis of time than the spiking program")
    if bool(bundle.messages) != (bundle.front_path is not None):
        raise _differs(bundle, "the spiking program reads what no file computes, or front.onnx computes for nothing")


def _check_front(bundle: Bundle) -> None:
    if bundle.front_path is None:
        return
    inputs, outputs = _of_one_view(bundle.front_path)
    taken = {name: (Type.FLOAT, (1, *shape)) for name, shape in bundle.manifest.model.inputs.items() if name in inputs}
    if inputs != taken:
        raise _graph(bundle.front_path, "inputs", inputs, taken)
    shapes = input_shapes(bundle.program)
    wanted = {name: (Type.FLOAT, (1, *shapes[name])) for name in bundle.messages}
    if outputs != wanted or tuple(outputs) != bundle.messages:
        raise _graph(bundle.front_path, "outputs", outputs, wanted)


def _check_forms(bundle: Bundle) -> None:
    """Both forms of the program must have the same steps, nodes and groups."""
    one, other = (
        (
            program.steps,
            input_shapes(program),
            layer_shapes(program),
            [(g.source, g.target, g.geometry, g.delay) for g in program.synapses],
        )
        for program in (bundle.program, bundle.fixed)
    )
    if one != other:
        raise _differs(bundle, "the spiking program in fixed point has another shape than in float")
    scales = {node.name: node.input_scale for node in bundle.fixed.inputs}
    targets = {p.name: p.scale for p in bundle.fixed.populations}
    for g, fixed in zip(bundle.program.synapses, bundle.fixed.synapses, strict=True):
        with np.errstate(over="ignore"):  # what is beyond every number is of no integers
            exact = g.weight * (targets[g.target] / (2**fixed.shift * scales.get(g.source, 1.0)))
            apart, whole = np.linalg.norm(exact - fixed.weight), np.linalg.norm(exact)
        if not (np.isfinite(apart) and apart <= ROUNDED * whole + 2 * np.sqrt(exact.size)):
            raise _differs(bundle, f"the integers of {label(g)} are not those of its weights in float, rounded")


def _check_bridge(bundle: Bundle) -> None:
    """The manifest must say of each tensor what follows from the program."""
    shapes = layer_shapes(bundle.program)
    for tensor in bundle.bridge:
        shape = shapes.get(tensor.layer)
        named = tensor.name in bundle.manifest.ann_inputs and tensor.name == bridge_name(tensor.layer, tensor.kind)
        if shape is None or not named:
            raise _differs(bundle, f"bridge tensor {tensor.name} joins no layer to the ANN half")
        frames = (bundle.program.steps,) if tensor.kind in ("spikes", "potentials") else ()
        expected = (*frames, *shape)
        own, whole = bundle.encodings[tensor.name], fixed_encodings((tensor,), bundle.fixed)[tensor.name]
        if not 0 <= own.shift < POTENTIAL_BITS:
            raise _differs(bundle, f"bridge tensor {tensor.name} is shifted by {own.shift} bits")
        shifted = own.shift and tensor.kind in ("potential", "potentials")
        encoding = whole.shifted(own.shift, own.bits) if shifted else whole
        if tensor.shape != expected or own != encoding or (own.shift and not 1 < own.bits < whole.bits):
            raise _differs(
                bundle,
                f"bridge tensor {tensor.name} is {tensor.shape} in the manifest, or differs in scale or bits;"
                f" its layer gives {expected}, scale {encoding.scale:g}, {encoding.bits} bits",
            )


def _check_chains(bundle: Bundle) -> None:
    """The `.net` files must be those of the program's chains, and hold them, which is looked at where h5py is."""
    chains = netx_chains(bundle.program, bundle.fixed)
    if tuple(chains) != bundle.manifest.streams:
        raise _differs(bundle, "the spiking program has other chains than the manifest")
    if chains and is_there("h5py"):
        from hybridnet.deploy.netx.agreement import check_nets

        check_nets(bundle.net_paths, bundle.spiking, chains)


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


def _check_spiking(file: AnyFile, program: AnyGraph) -> None:
    """The graph must give what the program's layers do, and the last potential of each."""
    inputs, outputs = _of_one_view(file)
    wanted = {name: (Type.FLOAT, (1, *shape)) for name, shape in input_shapes(program).items()}
    if inputs != wanted:
        raise _graph(file, "inputs", inputs, wanted)
    given: dict[str, Tensor] = {}
    for name, shape in layer_shapes(program).items():
        potential = Type.INT32 if isinstance(program, FixedGraph) else Type.FLOAT
        given[f"{name}.spikes"] = Type.BOOL, (1, program.steps, *shape)
        given[f"{name}.potentials"] = potential, (1, program.steps, *shape)
        given[f"{name}.readout"] = potential, (1, *shape)
    if given != {name: outputs.get(name) for name in given}:
        raise _graph(file, "outputs", outputs, given)


def _check_step(file: AnyFile, program: FixedGraph) -> None:
    """One step must give what a step of the program's layers does, and take nothing but inputs and states."""
    inputs, outputs = _of_one_view(file)
    wanted = {node.name: (Type.FLOAT, (1, *node.shape)) for node in program.inputs}
    states = {name: kind for name, kind in inputs.items() if name not in wanted}
    given = {
        f"{name}.{what}": (kind, (1, *shape))
        for name, shape in layer_shapes(program).items()
        for what, kind in (("spikes", Type.BOOL), ("potential.after", Type.INT32))
    }
    handed_on = {name: outputs.get(f"{name.removesuffix('before')}after") for name in states}
    if {name: inputs.get(name) for name in wanted} != wanted or states != handed_on:
        raise _graph(file, "inputs", inputs, wanted)
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
