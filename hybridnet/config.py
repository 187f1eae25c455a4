"""Frozen configs of the model, its preprocessing and its training; a value out of range names its field.

`hybridnet.configs` reads them from YAML.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from hybridnet.errors import ConfigError

MAX_SIDE, MAX_VIEW = 8192, 2**25
"""Pixels of a frame's side, and of all frames of a view: 640 MB as five channels of float32."""

COPY_LINES = 128
"""Fewest lines of a transcoded copy: vectors are those of blocks of 16 px, and a few blocks tell no motion."""

MAX_LAYERS = 256
"""Most layers of one kind. It is far above any use; a hostile config must not build layers without end."""

DEFAULT_VIEWS = 8
"""Views of a clip that are read unless another number is asked for, as in the paper."""


@dataclass(frozen=True)
class PreprocessConfig:
    """How a clip becomes input tensors (paper: resize to 340×256, centre crop 224, I + 11 P).

    Attributes:
        frame_width: Width in pixels that frames are resized to.
        frame_height: Height in pixels that frames are resized to.
        crop: Side of the square centre crop in pixels; H = W of the model's input.
        steps: T, the P-frames of a view; its GOP has T + 1 frames.
        motion_clip_px: Accumulated motion vectors are divided by this and clipped to [−1, 1]. 40 px covers 99 % of
            pixels of UCF-101 at the end of a GOP, where ±20 px (CoViAR) saturates 18 %.
        residual_clip: Accumulated residuals (grey levels) are divided by this and clipped to [−1, 1].
        accumulate: Trace motion vectors and residuals back to the I-frame: Π and Δ (paper eq. 1-2). False gives τ and δ
            of each P-frame, which reach one frame back: they are shorter, so `motion_clip_px` is better chosen smaller.
    """

    frame_width: int = 340
    frame_height: int = 256
    crop: int = 224
    steps: int = 11
    motion_clip_px: float = 40.0
    residual_clip: float = 128.0
    accumulate: bool = True

    def __post_init__(self) -> None:
        _positive(self, "frame_width", "frame_height", "crop", "steps", "motion_clip_px", "residual_clip")
        if self.crop > min(self.frame_width, self.frame_height):
            raise ConfigError(
                "crop", self.crop, f"at most {min(self.frame_width, self.frame_height)}, the frame's side"
            )
        if max(self.frame_width, self.frame_height) > MAX_SIDE or self.steps * self.crop**2 > MAX_VIEW:
            raise ConfigError(
                "frame_width, frame_height, crop, steps",
                (self.frame_width, self.frame_height, self.crop, self.steps),
                f"sides up to {MAX_SIDE} pixels, and steps · crop² up to {MAX_VIEW}",
            )
        if self.frame_width % 2 or self.frame_height % 2:
            raise ConfigError("frame_width, frame_height", (self.frame_width, self.frame_height), "even (4:2:0 video)")

    @property
    def copy_size(self) -> tuple[int, int]:
        """Width and height of a transcoded copy: the frame's, times the least number that gives it `COPY_LINES`."""
        times = -(-COPY_LINES // self.frame_height)
        return times * self.frame_width, times * self.frame_height


@dataclass(frozen=True)
class STMConfig:
    """The temporal encoder of motion vectors and residuals: spiking temporal modulators, or what is compared with them.

    Attributes:
        kind: `decoupled` is a stack of ConvLIF layers for each of the two (paper eq. 3-4); `common` one stack for both
            (`hybridnet.model.common`); `convlstm` a ConvLSTM for each, of the same channels and strides; `none` hands
            on the last step as it is.
        channels: Output channels, one entry per layer.
        strides: Strides, one entry per layer.
        kernel: Odd kernel side; padding keeps the size.
        leak: Initial λ, in (0, 1).
        threshold: Initial vth > 0.
        learn_leak: Learn a λ per layer; otherwise it stays as it is.
        learn_threshold: Learn a vth per layer; otherwise it stays as it is.
        reset: `soft` subtracts vth one step later, `hard` clears the potential (stock Lava LIF).
        surrogate_width: γ of the arctan surrogate gradient.
        batch_norm: Normalise each layer's current while training; folds into weight and bias at export.
    """

    kind: Literal["decoupled", "common", "convlstm", "none"] = "decoupled"
    channels: tuple[int, ...] = (8, 8)
    strides: tuple[int, ...] = (1, 1)
    kernel: int = 3
    leak: float = 0.8
    threshold: float = 0.5
    learn_leak: bool = True
    learn_threshold: bool = True
    reset: Literal["soft", "hard"] = "soft"
    surrogate_width: float = 100.0
    batch_norm: bool = False

    def __post_init__(self) -> None:
        _positive(self, "kernel", "threshold", "surrogate_width")
        if not self.channels or len(self.channels) != len(self.strides):
            raise ConfigError("stm.strides", self.strides, "one entry per entry of stm.channels, at least one")
        if min(self.channels + self.strides) < 1:
            raise ConfigError("stm.channels, stm.strides", (self.channels, self.strides), "positive entries")
        if self.kernel % 2 == 0:
            raise ConfigError("stm.kernel", self.kernel, "odd numbers")
        if not 0 < self.leak < 1:
            raise ConfigError("stm.leak", self.leak, "0 to 1, exclusive")


Modality = Literal["i", "mv", "r"]
"""I-frame, accumulated motion vectors, accumulated residuals."""


@dataclass(frozen=True)
class ModelConfig:
    """The hybrid network. docs/model.md sets its switches beside the paper's ablations.

    Attributes:
        name: Name of the size.
        num_classes: Classes of the classifier.
        preprocess: How clips become inputs.
        modalities: What the network looks at; each once. It is handed all three inputs whatever it looks at.
        order: The order of contextualisation: T is the temporal encoder, LS (local-spatial) the patch embedding, GS
            (global-spatial) the transformer.
        stm: The temporal encoder of motion vectors and residuals. Behind a patch embedding, in the other orders, it
            runs on the grid of tokens, `width` channels and stride 1 in each of its layers.
        patch: Side of a patch in input pixels.
        patch_overlap: Extra input pixels on each side of a patch's kernel, so that patches overlap.
        encoder: `unified` attends over the tokens of all modalities at once, `separate` within each modality, `cross`
            within each and from each to the others.
        width: d, channels of a token.
        depth: Transformer blocks.
        heads: Attention heads; divides `width`.
        mlp_ratio: Hidden width of a block's MLP, in units of `width`.
        mixer: Whether there is a multi-modal mixer: Conv Folding, Conv Fusion and RRDB. Without it tokens go straight
            to `pooling`, and the fields of the mixer below mean nothing.
        skips: Whether the mixer takes the low-level temporal maps, which skip the transformer.
        mixer_width: Channels of the mixer and the RRDB.
        rrdb_blocks: Residual-in-residual dense blocks; 0 leaves them out.
        rrdb_growth: Channels that each dense convolution adds.
        pooling: What reads the result: its `average` over the grid, or a `class_token` that attends to it.
        dropout: Drop probability before the classifier, in [0, 1).
    """

    name: str = "base"
    num_classes: int = 101
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    modalities: tuple[Modality, ...] = ("i", "mv", "r")
    order: Literal["t-ls-gs", "ls-t-gs", "ls-gs-t"] = "t-ls-gs"
    stm: STMConfig = field(default_factory=STMConfig)
    patch: int = 16
    patch_overlap: int = 4
    encoder: Literal["unified", "separate", "cross"] = "unified"
    width: int = 512
    depth: int = 2
    heads: int = 8
    mlp_ratio: int = 4
    mixer: bool = True
    skips: bool = True
    mixer_width: int = 512
    rrdb_blocks: int = 1
    rrdb_growth: int = 256
    pooling: Literal["average", "class_token"] = "average"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.stm.kernel > self.preprocess.crop:
            raise ConfigError("stm.kernel", self.stm.kernel, f"{self.preprocess.crop} or less, the side of the input")
        _positive(self, "num_classes", "patch", "width", "depth", "heads", "mlp_ratio", "mixer_width", "rrdb_growth")
        if not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise ConfigError("modalities", self.modalities, "one or more of i, mv, r, each once")
        if self.order != "t-ls-gs" and self.modalities == ("i",):
            raise ConfigError("order", self.order, "t-ls-gs, as I-frames alone have no time")
        if self.encoder == "cross" and len(self.modalities) == 1:
            raise ConfigError("encoder", self.encoder, "unified or separate, as there is one modality only")
        if self.width % self.heads:
            raise ConfigError("heads", self.heads, f"divisors of width {self.width}")
        if self.pooling == "class_token" and self.mixer and self.mixer_width % self.heads:
            raise ConfigError("heads", self.heads, f"divisors of mixer_width {self.mixer_width}, for the class token")
        if self.rrdb_blocks < 0 or self.patch_overlap < 0:
            raise ConfigError("rrdb_blocks, patch_overlap", (self.rrdb_blocks, self.patch_overlap), "0 or more")
        counts = {"depth": self.depth, "rrdb_blocks": self.rrdb_blocks, "stm.channels": len(self.stm.channels)}
        for name, layers in counts.items():
            if layers > MAX_LAYERS:
                raise ConfigError(name, layers, f"at most {MAX_LAYERS} layers")
        if not 0 <= self.dropout < 1:
            raise ConfigError("dropout", self.dropout, "0 to 1, 1 excluded")
        for stride in (self.stm.strides[0], math.prod(self.stm.strides)):
            if self.patch % stride or self.patch_overlap % stride:
                raise ConfigError(
                    "stm.strides",
                    self.stm.strides,
                    f"strides that divide patch {self.patch} and overlap {self.patch_overlap}",
                )


@dataclass(frozen=True)
class AugmentConfig:
    """What training does to views at random, with the same geometry for all modalities; `hybridnet.training.augment`.

    Attributes:
        flip: Probability of a horizontal flip, in [0, 1]. Leave it at 0 where classes differ by left and right.
        smallest_crop: Windows are this share of the model's side S or larger, at random, up to the whole stored view,
            and are resized to S; in (0, 1]. At 1, with views of side S, there is neither crop nor scale jitter.
    """

    flip: float = 0.0
    smallest_crop: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1:
            raise ConfigError("augment.flip", self.flip, "0 to 1")
        if not 0 < self.smallest_crop <= 1:
            raise ConfigError("augment.smallest_crop", self.smallest_crop, "0 to 1, 0 excluded")

    @property
    def active(self) -> bool:
        """Whether it does anything."""
        return self != AugmentConfig()


@dataclass(frozen=True)
class TrainingConfig:
    """The training recipe.

    Attributes:
        epochs: Passes over the training views.
        batch_size: Views per step, of all processes together.
        views_per_clip: 0 learns each view for itself. Otherwise an example is a clip: the mean logits of up to this
            many of its views, drawn at random; a step has `batch_size` // `views_per_clip` clips.
        optimizer: `adamw` decouples weight decay from the gradient, `adam` adds it to the gradient.
        learning_rate: Peak rate of Adam, reached after `warmup_epochs`, then cosine to zero.
        weight_decay: On weights of two and more dimensions.
        eps: Adam's ε.
        warmup_epochs: Epochs of linear warm-up.
        label_smoothing: In [0, 1).
        clip_norm: Largest norm of the gradient.
        forecast: Weight of a second task: to predict the next motion vectors from potentials; 0 leaves it out.
        ema_decay: Evaluate and keep an exponential moving average of the weights with this decay per step, in [0, 1);
            0 keeps the weights themselves.
        mixed_precision: On CUDA, compute the ANN half in bfloat16 (autocast); spiking layers stay in float32, for
            thresholds to be compared as the chip compares them. On the CPU everything is float32.
        augment: What is done to training views at random.
        seed: Seeds weights, shuffling and augmentation.
    """

    epochs: int = 300
    batch_size: int = 32
    views_per_clip: int = 0
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: float = 0.02
    weight_decay: float = 1e-4
    eps: float = 1e-3
    warmup_epochs: int = 5
    label_smoothing: float = 0.0
    clip_norm: float = 1.0
    forecast: float = 0.0
    ema_decay: float = 0.0
    mixed_precision: bool = True
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        _positive(self, "epochs", "batch_size", "learning_rate", "eps", "clip_norm")
        for name in ("weight_decay", "warmup_epochs", "seed", "views_per_clip", "forecast"):
            if getattr(self, name) < 0:
                raise ConfigError(name, getattr(self, name), "0 or more")
        for name in ("epochs", "batch_size", "views_per_clip", "warmup_epochs", "seed"):
            if getattr(self, name) >= 1 << 31:
                raise ConfigError(name, getattr(self, name), "less than 2^31")
        for name in ("label_smoothing", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "0 to 1, 1 excluded")


@dataclass(frozen=True)
class Experiment:
    """What a YAML file of `hybridnet/configs` holds."""

    model: ModelConfig
    training: TrainingConfig

    def __post_init__(self) -> None:
        spiking = self.model.stm.kind in ("decoupled", "common") and self.model.modalities != ("i",)
        if self.training.forecast and not (spiking and self.model.preprocess.steps > 1):
            allowed = "0 for a model without spiking layers, or whose views have one P-frame, which no other follows"
            raise ConfigError("training.forecast", self.training.forecast, allowed)


def _positive(config: object, *names: str) -> None:
    for name in names:
        if not getattr(config, name) > 0:
            raise ConfigError(name, getattr(config, name), "greater than 0")
