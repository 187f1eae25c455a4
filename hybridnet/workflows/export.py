"""Turn a model into a bundle: partition, calibrate, write both halves, and measure what they lost."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

from torch import Tensor, nn

from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.observe import observe
from hybridnet.calibration.report import MAXIMUM
from hybridnet.calibration.views import Calibration, from_file, from_made_set, from_tensors
from hybridnet.config import ModelConfig, PreprocessConfig
from hybridnet.deploy.bundle import SCHEMA, checksums, finish, read_bundle
from hybridnet.deploy.bundle_folder import bundle_folder
from hybridnet.deploy.bundle_parts import BridgeEntry, Bundle, Manifest, ModelEntry, Parts, Quantisation
from hybridnet.deploy.layout import ANN, CHECKPOINT, FRONT
from hybridnet.deploy.onnx.export import export_ann
from hybridnet.errors import BundleError, ConfigError, ModelError, PartitionError
from hybridnet.model.checkpoint import load_checkpoint, save_tensors
from hybridnet.model.network import example_inputs as example_inputs_of
from hybridnet.partition.neurons import rest
from hybridnet.partition.split import Split
from hybridnet.partition.split import split as split_model
from hybridnet.program.bridge import fixed_encodings
from hybridnet.program.chains import netx_chains
from hybridnet.program.spiking import SpikingHalf
from hybridnet.simulators.registry import check_requested, write_spiking_half
from hybridnet.support.inputs import checked_tensors, shapes_of
from hybridnet.support.progress import Progress, silent
from hybridnet.support.views import Views
from hybridnet.workflows.foreign import check_module, video_preprocess
from hybridnet.workflows.host_parts import ann_examples, export_front, output_names
from hybridnet.workflows.options import ExportOptions
from hybridnet.workflows.parity import measure_parity

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class _Source:
    """What is exported.

    Attributes:
        examples: One tensor per input by argument name, (N, …).
        calibrate: Finds the calibration views of examples with their views first, once the model was cut.
        write_weights: Writes model.pt.
    """

    model: nn.Module
    name: str
    examples: Tensors
    labels: tuple[str, ...] | None
    preprocess: PreprocessConfig | None
    config: ModelConfig | None
    calibrate: Callable[[Tensors], Calibration]
    write_weights: Callable[[Path], Any]


@overload
def export(
    model: str | Path, path: str | Path, /, options: ExportOptions = ..., *, progress: Progress = ...
) -> Bundle: ...


@overload
def export(
    model: nn.Module,
    example_inputs: Tensors,
    path: str | Path,
    /,
    options: ExportOptions = ...,
    *,
    progress: Progress = ...,
) -> Bundle: ...


def export(model: str | Path | nn.Module, *arguments: Any, **more: Any) -> Bundle:
    """Export a checkpoint, `export("ckpt.pt", "dir")`, or any module, `export(module, example_inputs, "dir")`.

    See `export_checkpoint` and `export_module`.

    Raises:
        HybridNetError: With what to do about it.
    """
    if isinstance(model, nn.Module):
        return export_module(model, *arguments, **more)
    return export_checkpoint(model, *arguments, **more)


def export_checkpoint(
    checkpoint: str | Path,
    path: str | Path,
    options: ExportOptions = ExportOptions(),
    *,
    progress: Progress = silent,
) -> Bundle:
    """Export a checkpoint of the reference model.

    Args:
        checkpoint: Written by `hybridnet train`.
        path: Folder of the bundle; written whole or not at all.
        options: How; the checkpoint brings its own labels, preprocessing and name.
        progress: Told how far the work is.

    Raises:
        HybridNetError: With what to do about it.
    """
    for name in ("labels", "preprocess", "name"):
        if (value := getattr(options, name)) is not None:
            raise ConfigError(name, value, "none with a checkpoint, which brings its own")
    check_requested(options.parity)
    loaded = load_checkpoint(Path(checkpoint))
    config = loaded.model.config
    examples = example_inputs_of(config)
    source = _Source(
        model=loaded.model,
        name=config.name,
        examples=examples,
        labels=loaded.labels,
        preprocess=config.preprocess,
        config=config,
        calibrate=lambda examples: _calibration(
            options.calibrate,
            shapes_of(examples),
            config.preprocess,
            lambda: from_made_set(config.preprocess, loaded.labels, progress),
            progress,
        ),
        write_weights=lambda file: shutil.copyfile(checkpoint, file),
    )
    return _write(source, Path(path), options, progress)


def export_module(
    module: nn.Module,
    example_inputs: Tensors,
    path: str | Path,
    options: ExportOptions = ExportOptions(),
    *,
    progress: Progress = silent,
) -> Bundle:
    """Export any module that spikes; what can be placed goes on the chip. It is switched to evaluation mode, at rest.

    Args:
        module: In float32 on the CPU; returns a tensor (N, …), a flat tuple of tensors or a dict of tensors.
        example_inputs: One float tensor per argument of its `forward`, by name, as the model takes it.
        path: Folder of the bundle; written whole or not at all.
        options: How.
        progress: Told how far the work is.

    Raises:
        HybridNetError: With what to do about it.
    """
    check_requested(options.parity)
    check_module(module)
    examples = checked_tensors(example_inputs, None, "example inputs").tensors()
    shapes = shapes_of(examples)
    video, preprocess = video_preprocess(shapes), options.preprocess
    if preprocess is not None and (video is None or (preprocess.crop, preprocess.steps) != (video.crop, video.steps)):
        raise ModelError(f"preprocess gives other inputs than the module takes, {shapes}", where="preprocess")
    preprocess = preprocess or video
    source = _Source(
        model=module,
        name=options.name or type(module).__qualname__,
        examples=examples,
        labels=None if options.labels is None else tuple(options.labels),
        preprocess=preprocess,
        config=None,
        calibrate=lambda examples: _calibration(
            options.calibrate,
            shapes_of(examples),
            preprocess,
            lambda: Calibration(Views.of_tensors(examples), "the example inputs (no clips were given)"),
            progress,
        ),
        write_weights=lambda file: save_tensors(file, module.state_dict()),
    )
    try:
        return _write(source, Path(path), options, progress)
    finally:
        rest(module)  # it ran on views of ours, whose state would broadcast into the user's next batch


def _calibration(
    given: Any, shapes: Any, preprocess: PreprocessConfig | None, default: Callable[[], Calibration], progress: Progress
) -> Calibration:
    """The views that `ExportOptions.calibrate` names."""
    if given is None:
        return default()
    if isinstance(given, (str, Path)):
        return from_file(Path(given), shapes, preprocess, progress)
    return from_tensors(given, shapes)


def _write(source: _Source, path: Path, options: ExportOptions, progress: Progress) -> Bundle:
    """Cut, quantise, write, measure."""
    size = sum(tensor.nbytes for tensor in source.model.state_dict().values())
    needed = 2 * size  # each weight as torch and as ONNX
    with bundle_folder(path, overwrite=options.overwrite, needed_bytes=needed) as folder:
        progress("reading the model", 0, 1)
        split = split_model(source.model, source.examples, keep_on_host=options.keep_on_host or ())
        if options.strict and split.placement.staying:
            raise PartitionError(" ".join(split.placement.lines()).rstrip("."), where=source.name,
                                 remedy="Leave out --strict to place what can be placed")  # fmt: skip
        examples = split.given(source.examples)
        outputs = output_names(split, examples, source.labels)
        calibration = source.calibrate(examples)
        spiking = _quantised(split, calibration.views)
        progress("writing the spiking half", 0, 1)
        write_spiking_half(folder, spiking)
        if split.front is not None:
            progress("writing what the host computes before the chip", 0, 1)
            export_front(split, examples, folder / FRONT, options.opset)
        progress("writing the ANN half", 0, 1)
        export_ann(split, ann_examples(split, examples), folder / ANN, outputs=outputs, opset=options.opset)
        source.write_weights(folder / CHECKPOINT)
        encodings = fixed_encodings(split.bridge, spiking.fixed)
        manifest = Manifest(
            schema=SCHEMA,
            model=ModelEntry(source.name, shapes_of(examples), outputs, source.preprocess, source.config),
            labels=source.labels,
            versions={name: _release(name) for name in ("hybridnet", "torch", "onnx")},
            opset=options.opset,
            placement=split.placement,
            streams=tuple(netx_chains(spiking.program, spiking.fixed)),
            feeds=dict(split.feeds),
            ann_inputs=split.ann_inputs,
            bridge=tuple(BridgeEntry.of(tensor, encodings[tensor.name]) for tensor in split.bridge),
            quantisation=Quantisation(MAXIMUM, calibration.source, len(calibration.views)),
            files=checksums(folder),
        )
        parts = Parts(folder, manifest, spiking)
        measured = measure_parity(
            source.model, split, parts, calibration, output=outputs[0], requested=options.parity, progress=progress
        )
        finish(parts, measured)
        written = _read_back(folder, source.name)
        progress("writing the bundle", 1, 1)
    return replace(written, path=path)


def _read_back(folder: Path, name: str) -> Bundle:
    """The bundle, read as any reader will; what cannot be read is not left behind.

    Raises:
        ModelError: If it cannot.
    """
    try:
        return read_bundle(folder)
    except BundleError as error:
        raise ModelError(
            f"becomes a bundle that cannot be read: {error.what}",
            where=name,
            remedy="Return float32 tensors (N, …) of shapes that follow from the inputs' shapes",
        ) from error


def _quantised(split: Split, views: Views) -> SpikingHalf:
    """The spiking half in both forms, its integers by maximum-based scales."""
    return SpikingHalf(split.program, quantise_graph(split.program, observe(split, views.tensors())))


def _release(name: str) -> str:
    """The version of a package without its build (`+cpu`), on which no byte of a bundle depends."""
    return importlib.metadata.version(name).partition("+")[0]
