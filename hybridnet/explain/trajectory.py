"""Where the frames of clips lie in the network's own feature spaces: as pictures, and as what the codec says of them.

A frame's RGB feature is the mean token of the I-frame's patch embedding, given that frame's picture. Its compressed
feature is the mean tokens of the embeddings of motion vectors and residuals, given the potentials u[t] that the STMs
hold after that frame. t-SNE (van der Maaten and Hinton 2008) lays each space out in the plane, as in the paper's
Figure 1; which features the paper took it does not say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridnet.errors import ConfigError, MissingBackendError, VideoError
from hybridnet.model.network import HybridNet
from hybridnet.video.gop import View
from hybridnet.video.views import prepare_view

PERPLEXITY = 30
"""t-SNE's effective number of neighbours, or a third of the frames if that is less."""

FEWEST_FRAMES = 12
"""Below this t-SNE shows nothing."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The P-frames of several clips, clip after clip, in the order of their time.

    Attributes:
        clip: Index of the clip of each frame, (N,).
        gop: Index of its GOP, (N,).
        rgb: Features of its picture, (N, d).
        compressed: Features of its motion vectors and residuals, (N, 2·d) or (N, d).
    """

    clip: NDArray[np.int64]
    gop: NDArray[np.int64]
    rgb: NDArray[np.float32]
    compressed: NDArray[np.float32]


@torch.no_grad()
def trajectory(model: HybridNet, clips: Sequence[Sequence[View]]) -> Trajectory:
    """Features of all P-frames.

    Args:
        model: In evaluation mode, of the order T ▶ LS ▶ GS, with pictures and spiking stacks among its modalities.
        clips: Whole views of each clip, not cropped.

    Raises:
        ConfigError: If the model is of another kind.
    """
    if model.config.order != "t-ls-gs" or not model.stacks() or "i" not in model.config.modalities:
        raise ConfigError("model", model.config.name, "of order t-ls-gs with I-frames and spiking stacks")
    rows = [
        (number, view.gop, rgb, compressed)
        for number, views in enumerate(clips)
        for view in views
        for rgb, compressed in _frames(model, view)
    ]
    clip, gop, rgb, compressed = zip(*rows, strict=True)
    return Trajectory(np.array(clip), np.array(gop), np.stack(rgb), np.stack(compressed))


def pictures(view: View, *, accumulated: bool) -> list[NDArray[np.uint8]]:
    """The decoded P-frames of a view, (3, H, W) each: I_t(i) = I_0(i − Π_t(i)) + Δ_t(i), exactly (paper eq. 1-2).

    Args:
        view: Whole, not cropped.
        accumulated: Whether it holds Π and Δ, or τ and δ, which lead to the frame before.
    """
    _, height, width = view.i_frame.shape
    y, x = np.mgrid[:height, :width]
    found, base = [], view.i_frame
    for vectors, residual in zip(view.motion_vectors, view.residuals, strict=True):
        picture = (base[:, y - vectors[1], x - vectors[0]] + residual).astype(np.uint8)
        found.append(picture)
        base = view.i_frame if accumulated else picture
    return found


def layout(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """t-SNE of features (N, d) into the plane, (N, 2); the same features give the same picture.

    Raises:
        VideoError: If there are fewer than FEWEST_FRAMES, or all are the same.
        MissingBackendError: If scikit-learn is not installed.
    """
    if len(features) < FEWEST_FRAMES:
        raise VideoError(f"{len(features)} P-frames are too few for a trajectory", remedy="Give longer or more clips")
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        remedy = "Install it with: pip install 'hybridnet[plot]'"
        raise MissingBackendError("scikit-learn is not installed, which lays out features", remedy=remedy) from error
    centred = features.astype(np.float64) - features.mean(axis=0)
    spread = centred.std()
    if spread == 0:
        raise VideoError("all P-frames have the same features", remedy="Give clips in which something moves")
    # Still scenes give equal features, on which the tree of the faster method overflows the stack.
    method = TSNE(perplexity=min(PERPLEXITY, len(features) // 3), init="pca", method="exact", random_state=0)
    return np.asarray(method.fit_transform(centred / spread))


def _frames(model: HybridNet, view: View) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    preprocess = model.config.preprocess
    arrays = prepare_view(view, preprocess)
    streams = {"mv": torch.from_numpy(arrays.motion_vectors), "r": torch.from_numpy(arrays.residuals)}
    # u of the last layer after each step, (T, C, H, W), as u[T] would leave for the patch embedding.
    potentials = {m: stack.trace(streams[m][None])[-1].u[0] for m, stack in model.stacks().items()}
    compressed = torch.cat([_mean_token(model, m, u) for m, u in potentials.items()], dim=1)
    for picture, feature in zip(pictures(view, accumulated=preprocess.accumulate), compressed, strict=True):
        shown = torch.from_numpy(prepare_view(_showing(view, picture), preprocess).i_frame)
        yield _mean_token(model, "i", shown[None])[0].numpy(), feature.numpy()


def _mean_token(model: HybridNet, modality: str, maps: Tensor) -> Tensor:
    """(B, d) of maps (B, C, H, W)."""
    tokens: Tensor = model.get_submodule(f"patch_{modality}")(maps)
    return tokens.mean(1)


def _showing(view: View, picture: NDArray[np.uint8]) -> View:
    """A view whose I-frame is another picture, and which has no P-frames to prepare."""
    return dataclasses.replace(
        view, i_frame=picture, motion_vectors=view.motion_vectors[:1], residuals=view.residuals[:1]
    )
