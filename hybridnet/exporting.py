"""Turn a checkpoint into a bundle: partition, calibrate, write both halves, and measure what they lost."""

from __future__ import annotations

import importlib.metadata
import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybridnet.calibration.compare import spike_agreement, sqnr_db
from hybridnet.calibration.fixed_point import quantise_program
from hybridnet.calibration.observers import observe
from hybridnet.config import PreprocessConfig
from hybridnet.deploy import bundle as files
from hybridnet.deploy.onnx_export import OPSET, export_ann
from hybridnet.errors import OutputExistsError, PartitionError
from hybridnet.files import atomic_folder
from hybridnet.frontend import find_videos, read_clip
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.partition.bridge import fixed_encodings
from hybridnet.partition.program import FixedProgram
from hybridnet.partition.splitter import Partition, partition
from hybridnet.progress import Progress, silent
from hybridnet.simulators.ann import OnnxRuntimeBackend, TorchAnnBackend
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.emulator import Emulator
from hybridnet.simulators.hybrid import run_hybrid
from hybridnet.simulators.interface import SpikingBackend
from hybridnet.simulators.torch_float import TorchBackend
from hybridnet.video.synthetic import MOTIONS, make_clip

MAX_CALIBRATION_CLIPS, VIEWS_PER_CLIP = 16, 4
CALIBRATION_SEED = 3_000_000
"""Seed of the motion-set clips used when no clips are given; training and validation use others."""

ONNX_TOLERANCE = 1e-4
"""Largest difference allowed between the ANN half in torch and in ONNX Runtime, on logits."""


@dataclass(frozen=True)
class _Calibration:
    """Inputs by name, (N, …), and where they came from."""

    inputs: Mapping[str, Tensor]
    source: str


def export(
    checkpoint: str | Path,
    path: str | Path,
    *,
    calibrate: str | Path | None = None,
    opset: int = OPSET,
    overwrite: bool = False,
    progress: Progress = silent,
) -> files.Bundle:
    """Export a checkpoint.

    Args:
        checkpoint: Written by `hybridnet train`.
        path: Folder of the bundle; written whole or not at all.
        calibrate: A video or a folder of videos to find the fixed-point scales on; clips of the motion set if None.
        opset: ONNX opset of the ANN half.
        overwrite: Replace `path` if it exists.

    Raises:
        HybridNetError: With what to do about it.
    """
    checkpoint, path = Path(checkpoint), Path(path)
    if path.exists() and not overwrite:
        raise OutputExistsError(path)
    loaded = load_checkpoint(checkpoint)
    model, config = loaded.model, loaded.model.config
    split = partition(model, example_inputs(config))
    calibration = _calibration(None if calibrate is None else Path(calibrate), config.preprocess, progress)
    fixed = quantise_program(split.program, observe(split, calibration.inputs))

    with atomic_folder(path, overwrite=overwrite) as folder:
        progress("writing the spiking half", 0, 1)
        files.write_spiking_half(folder, split.program, fixed)
        progress("writing the ANN half", 0, 1)
        export_ann(split, _ann_examples(split, example_inputs(config, batch=2)), folder / files.ANN, opset=opset)
        shutil.copyfile(checkpoint, folder / files.CHECKPOINT)
        progress("measuring parity", 0, 1)
        files.write_parity(folder, measure_parity(model, split, fixed, folder / files.ANN, calibration.inputs))
        encodings = fixed_encodings(split.bridge, fixed)
        files.write_manifest(
            folder,
            files.Manifest(
                schema=files.SCHEMA,
                model=config,
                labels=loaded.labels,
                versions={name: importlib.metadata.version(name) for name in ("hybridnet", "torch", "onnx")},
                opset=opset,
                streams=tuple(stream.name for stream in split.program.streams),
                ann_inputs=split.ann_inputs,
                bridge=tuple(
                    files.BridgeEntry(t.name, t.layer, t.shape, encodings[t.name].scale, encodings[t.name].bits)
                    for t in split.bridge
                ),
                quantisation=files.Quantisation(
                    "maximum-based scales", calibration.source, len(calibration.inputs["i_frame"])
                ),
                files=files.checksums(folder),
            ),
        )
        progress("writing the bundle", 1, 1)
    return files.read_bundle(path)


@torch.no_grad()
def measure_parity(
    model: HybridNet, split: Partition, fixed: FixedProgram, ann: Path, inputs: Mapping[str, Tensor]
) -> dict[str, Any]:
    """The parity chain of the export, as the content of parity.json.

    Raises:
        PartitionError: If the cut model does not equal the whole one to the last bit: then the cut itself is wrong.
    """
    views = [{name: tensor[n : n + 1] for name, tensor in inputs.items()} for n in range(len(inputs["i_frame"]))]
    split_error = torch.cat([(model(**view) - split.run(view)).abs() for view in views])
    if split_error.max() > 0:
        raise PartitionError(f"the cut model differs from the whole one by {split_error.max():g}", where="split")
    bridge = Bridge(split.bridge, fixed_encodings(split.bridge, fixed))
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    torch_ann, onnx_ann = TorchAnnBackend(split.ann, split.ann_inputs), OnnxRuntimeBackend(ann)
    reference = TorchBackend(split.program)
    torch_run = run_hybrid(reference, bridge, torch_ann, arrays)
    onnx_run = run_hybrid(reference, bridge, onnx_ann, arrays)
    fixed_backend: SpikingBackend = Emulator(fixed)
    fixed_run = run_hybrid(fixed_backend, bridge, onnx_ann, arrays)
    onnx_error = np.abs(onnx_run.logits - torch_run.logits)
    return {
        "views": len(views),
        "split": {"max_abs": float(split_error.max()), "mean_abs": float(split_error.mean()), "tolerance": 0.0},
        "onnx": {
            "max_abs": float(onnx_error.max()),
            "mean_abs": float(onnx_error.mean()),
            "tolerance": ONNX_TOLERANCE,
            "ok": bool(onnx_error.max() <= ONNX_TOLERANCE),
        },
        "fixed_point": {
            "sqnr_db": {
                name: sqnr_db(u, torch_run.crossing.potentials[name])
                for name, u in fixed_run.crossing.potentials.items()
            },
            "spike_agreement": {
                name: spike_agreement(o, torch_run.spiking.spikes[name]) for name, o in fixed_run.spiking.spikes.items()
            },
            "top1_agreement": float((fixed_run.logits.argmax(1) == torch_run.logits.argmax(1)).mean()),
            "overflows": dict(fixed_run.spiking.overflows),
            "clipped_inputs": dict(fixed_run.spiking.clipped_inputs),
        },
    }


def _calibration(path: Path | None, preprocess: PreprocessConfig, progress: Progress) -> _Calibration:
    if path is not None:
        videos = find_videos(path)
        return _read_calibration(videos, preprocess, f"{path} ({{used}} of {len(videos)} clips)", progress)
    with tempfile.TemporaryDirectory(prefix="hybridnet-") as folder:
        clips = [Path(folder) / f"{motion}.avi" for motion in MOTIONS]
        for clip, motion in zip(clips, MOTIONS, strict=True):
            make_clip(
                clip,
                motion,
                CALIBRATION_SEED,
                frames=2 * (preprocess.steps + 1),
                width=preprocess.frame_width,
                height=preprocess.frame_height,
                gop=preprocess.steps + 1,
            )
        return _read_calibration(clips, preprocess, f"motion set, seed {CALIBRATION_SEED} ({{used}} clips)", progress)


def _read_calibration(
    videos: list[Path], preprocess: PreprocessConfig, source: str, progress: Progress
) -> _Calibration:
    """Views of at most MAX_CALIBRATION_CLIPS clips, spread over the list; how many is told in the source."""
    wanted = min(len(videos), MAX_CALIBRATION_CLIPS)
    chosen = [videos[math.floor(i * len(videos) / wanted)] for i in range(wanted)]
    clips = []
    for number, video in enumerate(chosen):
        clips.append(read_clip(video, preprocess, VIEWS_PER_CLIP).inputs)
        progress("calibration clips", number + 1, wanted)
    inputs = {name: torch.cat([clip[name] for clip in clips]) for name in clips[0]}
    return _Calibration(inputs, source.format(used=wanted))


def _ann_examples(split: Partition, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    batch = len(next(iter(inputs.values())))
    return inputs | {tensor.name: torch.zeros(batch, *tensor.shape) for tensor in split.bridge}
