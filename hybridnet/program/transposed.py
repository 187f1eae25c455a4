"""Transposed convolutions: how spikes reach a larger map (upsampling, `ConvTranspose2d`)."""

from __future__ import annotations

from dataclasses import dataclass

from hybridnet.errors import ConfigError
from hybridnet.program.layers import check_map, check_pairs


@dataclass(frozen=True)
class TransposedGeometry:
    """Shape of a 2-D transposed convolution, in torch's terms. Pairs are (vertical, horizontal).

    Input (y, x) adds its value times tap (i, j) to output (y·stride − padding + i·dilation, likewise for x).
    """

    input_shape: tuple[int, int, int]
    """(C, H, W)"""
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    output_padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        check_pairs(self.kernel, self.stride, self.padding, self.dilation)
        if self.groups < 1 or self.input_shape[0] % self.groups or self.out_channels % self.groups:
            raise ConfigError("groups", self.groups, f"divisors of {self.input_shape[0]} and {self.out_channels}")
        for extra, stride, dilation in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if not 0 <= extra < max(stride, dilation):
                raise ConfigError("output_padding", self.output_padding, "less than the stride or the dilation")
        if min(self.output_shape) < 1:
            raise ConfigError("input_shape", self.input_shape, "large enough for the padding")
        channels, height, width = self.output_shape
        check_map("output_shape", channels, (height + 2 * self.padding[0], width + 2 * self.padding[1]))

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what the input is spread over."""
        height, width = (
            (size - 1) * s - 2 * p + d * (k - 1) + extra + 1
            for size, k, s, p, d, extra in zip(
                self.input_shape[1:],
                self.kernel,
                self.stride,
                self.padding,
                self.dilation,
                self.output_padding,
                strict=True,
            )
        )
        return self.out_channels, height, width

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(C_in, C_out/groups, kh, kw), torch's layout."""
        return self.input_shape[0], self.out_channels // self.groups, *self.kernel
