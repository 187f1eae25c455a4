"""Turn a model into a bundle: partition, calibrate, write both halves, and measure what they lost."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor, nn

from hybridnet.calibration.fixed_point import quantise_program
from hybridnet.calibration.observers import observe
from hybridnet.calibration.views import Calibration, from_file, from_motion_set, from_tensors
from hybridnet.config import ModelConfig, PreprocessConfig
from hybridnet.deploy.bundle import SCHEMA, checksums, finish, read_bundle
from hybridnet.deploy.bundle_folder import bundle_folder
from hybridnet.deploy.bundle_parts import BridgeEntry, Bundle, Manifest, ModelEntry, Parts, Quantisation
from hybridnet.deploy.layout import ANN, CHECKPOINT
from hybridnet.deploy.onnx.export import OPSET, export_ann
from hybridnet.errors import ModelError
from hybridnet.model.checkpoint import load_checkpoint, save_tensors
from hybridnet.model.network import example_inputs as example_inputs_of
from hybridnet.partition.neurons import rest
from hybridnet.partition.splitter import Partition, partition
from hybridnet.program.bridge import fixed_encodings
from hybridnet.program.outputs import LOGITS, OUTPUT, named_outputs
from hybridnet.simulators.registry import check_requested, write_spiking_half
from hybridnet.support.inputs import checked_tensors, shapes_of
from hybridnet.support.progress import Progress, silent
from hybridnet.support.views import Views
from hybridnet.workflows.foreign import check_module, video_preprocess
from hybridnet.workflows.parity import measure_parity

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class _Source:
    """What is exported.

    Attributes:
        examples: One tensor per input by argument name, (N, …).
        calibrate: Finds the calibration views, once the model was seen to be one that can be cut.
        write_weights: Writes model.pt.
    """

    model: nn.Module
    name: str
    examples: Tensors
    labels: tuple[str, ...] | None
    preprocess: PreprocessConfig | None
    config: ModelConfig | None
    calibrate: Callable[[], Calibration]
    write_weights: Callable[[Path], Any]


@overload
def export(
    model: str | Path,
    path: str | Path,
    /,
    *,
    calibrate: str | Path | None = None,
    opset: int = OPSET,
    overwrite: bool = False,
    parity: str | None = None,
    progress: Progress = silent,
) -> Bundle: ...


@overload
def export(
    model: nn.Module,
    example_inputs: Tensors,
    path: str | Path,
    /,
    *,
    labels: Iterable[str] | None = None,
    calibration: Tensors | Iterable[Tensors] | str | Path | None = None,
    preprocess: PreprocessConfig | None = None,
    name: str | None = None,
    opset: int = OPSET,
    overwrite: bool = False,
    parity: str | None = None,
    progress: Progress = silent,
) -> Bundle: ...


def export(model: str | Path | nn.Module, *arguments: Any, **options: Any) -> Bundle:
    """Export a checkpoint, `export("ckpt.pt", "dir")`, or any module, `export(module, example_inputs, "dir")`.

    See `export_checkpoint` and `export_module` for the options.

    Raises:
        HybridNetError: With what to do about it.
    """
    if isinstance(model, nn.Module):
        return export_module(model, *arguments, **options)
    return export_checkpoint(model, *arguments, **options)


def export_checkpoint(
    checkpoint: str | Path,
    path: str | Path,
    *,
    calibrate: str | Path | None = None,
    opset: int = OPSET,
    overwrite: bool = False,
    parity: str | None = None,
    progress: Progress = silent,
) -> Bundle:
    """Export a checkpoint of the reference model.

    Args:
        checkpoint: Written by `hybridnet train`.
        path: Folder of the bundle; written whole or not at all.
        calibrate: A video, a folder of videos or a `.npz` file of inputs to find the fixed-point scales and measure
            parity on; clips of the motion set if None.
        opset: ONNX opset of the ANN half.
        overwrite: Replace `path` if it is a bundle.
        parity: Also compare the emulator with this back-end on one view, in every bit: `lava`.
        progress: Told how far the work is.

    Raises:
        HybridNetError: With what to do about it.
    """
    check_requested(parity)
    loaded = load_checkpoint(Path(checkpoint))
    config = loaded.model.config
    examples = example_inputs_of(config)

    def find() -> Calibration:
        if calibrate is None:
            return from_motion_set(config.preprocess, progress)
        return from_file(Path(calibrate), shapes_of(examples), config.preprocess, progress)

    source = _Source(
        model=loaded.model,
        name=config.name,
        examples=examples,
        labels=loaded.labels,
        preprocess=config.preprocess,
        config=config,
        calibrate=find,
        write_weights=lambda file: shutil.copyfile(checkpoint, file),
    )
    return _write(source, Path(path), opset=opset, overwrite=overwrite, parity=parity, progress=progress)


def export_module(
    module: nn.Module,
    example_inputs: Tensors,
    path: str | Path,
    *,
    labels: Iterable[str] | None = None,
    calibration: Tensors | Iterable[Tensors] | str | Path | None = None,
    preprocess: PreprocessConfig | None = None,
    name: str | None = None,
    opset: int = OPSET,
    overwrite: bool = False,
    parity: str | None = None,
    progress: Progress = silent,
) -> Bundle:
    """Export any hybrid module that keeps the placement rules; it is switched to evaluation mode, its neurons to rest.

    Args:
        module: In float32 on the CPU; returns a tensor (N, …), a flat tuple of tensors or a dict of tensors.
        example_inputs: One float tensor per argument of its `forward`, by name, (N, …); those that spiking layers read
            (N, T, C, H, W).
        path: Folder of the bundle; written whole or not at all.
        labels: One name per class, if the module returns logits (N, classes).
        calibration: Inputs by name, (N, …), or several such sets, or a `.npz` file of them, or videos if the module
            reads video: to find the fixed-point scales and measure parity on. The example inputs if None, and the
            manifest says so.
        preprocess: How clips become its inputs, if it takes `i_frame`, `motion_vectors` and `residuals` as the
            reference model does; see `hybridnet.workflows.foreign.video_preprocess` for the default.
        name: Kept in the manifest and in records; the class's name if None.
        opset: ONNX opset of the ANN half.
        overwrite: Replace `path` if it is a bundle.
        parity: Also compare the emulator with this back-end on one view, in every bit: `lava`.
        progress: Told how far the work is.

    Raises:
        HybridNetError: With what to do about it.
    """
    check_requested(parity)
    check_module(module)
    examples = checked_tensors(example_inputs, None, "example inputs").tensors()
    shapes = shapes_of(examples)
    video = video_preprocess(shapes)
    if preprocess is not None and (video is None or (preprocess.crop, preprocess.steps) != (video.crop, video.steps)):
        raise ModelError(f"preprocess gives other inputs than the module takes, {shapes}", where="preprocess")
    preprocess = preprocess or video

    def find() -> Calibration:
        if calibration is None:
            return Calibration(Views.of_tensors(examples), "the example inputs, for want of others")
        if isinstance(calibration, (str, Path)):
            return from_file(Path(calibration), shapes, preprocess, progress)
        return from_tensors(calibration, shapes)

    source = _Source(
        model=module,
        name=name or type(module).__qualname__,
        examples=examples,
        labels=None if labels is None else tuple(labels),
        preprocess=preprocess,
        config=None,
        calibrate=find,
        write_weights=lambda file: save_tensors(file, module.state_dict()),
    )
    try:
        return _write(source, Path(path), opset=opset, overwrite=overwrite, parity=parity, progress=progress)
    finally:
        rest(module)  # it ran on views of ours, whose state would broadcast into the user's next batch


def _write(
    source: _Source, path: Path, *, opset: int, overwrite: bool, parity: str | None, progress: Progress
) -> Bundle:
    """Cut, quantise, write, measure."""
    size = sum(tensor.nbytes for tensor in source.model.state_dict().values())
    with bundle_folder(path, overwrite=overwrite, needed_bytes=2 * size) as folder:  # each weight as torch and as ONNX
        split = partition(source.model, source.examples)
        outputs = output_names(split, source.examples, source.labels)
        calibration = source.calibrate()
        fixed = quantise_program(split.program, observe(split, calibration.views.tensors()))
        progress("writing the spiking half", 0, 1)
        write_spiking_half(folder, split.program, fixed)
        progress("writing the ANN half", 0, 1)
        export_ann(split, ann_examples(split, source.examples), folder / ANN, outputs=outputs, opset=opset)
        source.write_weights(folder / CHECKPOINT)
        encodings = fixed_encodings(split.bridge, fixed)
        manifest = Manifest(
            schema=SCHEMA,
            model=ModelEntry(source.name, shapes_of(source.examples), outputs, source.preprocess, source.config),
            labels=source.labels,
            versions={name: importlib.metadata.version(name) for name in ("hybridnet", "torch", "onnx")},
            opset=opset,
            streams=tuple(stream.name for stream in split.program.streams),
            ann_inputs=split.ann_inputs,
            bridge=tuple(
                BridgeEntry(t.name, t.layer, t.shape, t.kind, **asdict(encodings[t.name])) for t in split.bridge
            ),
            quantisation=Quantisation("maximum-based scales", calibration.source, len(calibration.views)),
            files=checksums(folder),
        )
        parts = Parts(folder, manifest, split.program, fixed)
        measured = measure_parity(
            source.model, split, parts, calibration, output=outputs[0], requested=parity, progress=progress
        )
        finish(parts, measured)
        progress("writing the bundle", 1, 1)
    return read_bundle(path)


@torch.no_grad()
def output_names(split: Partition, examples: Tensors, labels: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Run the example once: what does the model return, and do the labels fit?

    Raises:
        ModelError: If an output has no views, or there are labels and it is no (N, classes).
    """
    views = len(next(iter(examples.values())))
    outputs = named_outputs(split.run(examples), OUTPUT if labels is None else LOGITS)
    for name, tensor in outputs.items():
        if tensor.ndim == 0 or len(tensor) != views:
            raise ModelError(f"is {tuple(tensor.shape)} for {views} views", where=name, remedy="Return (N, …)")
    if labels is not None:
        shapes = {name: tuple(tensor.shape[1:]) for name, tensor in outputs.items()}
        if shapes != {LOGITS: (len(labels),)}:
            raise ModelError(f"{len(labels)} labels do not fit what the model returns, {shapes}", where="labels")
    return tuple(outputs)


def ann_examples(split: Partition, examples: Tensors) -> dict[str, Tensor]:
    """An example for the ANN half, of two views: a dimension of 1 would be taken for a constant."""
    own = {name: torch.cat((tensor[:1], tensor[-1:])) for name, tensor in examples.items()}
    return own | {tensor.name: torch.zeros(2, *tensor.shape) for tensor in split.bridge}
