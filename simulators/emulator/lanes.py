"""The loops of `block_conv`, for the compiler's vectors: sums over the taps of a kernel, eight channels at a time."""

from __future__ import annotations

from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hybridnet.support.arrays import Array
from hybridnet.support.kernels import shared_kernel

LANES = 8
"""Output channels that are computed together: a vector of 8 × 16 or 8 × 32 bits, which all processors of today have."""

PIXELS = 8
"""Output pixels that are computed together: each weight or table is then read once for all of them."""

BYTES = 256
"""Values of a byte, and rows of the table of a tap."""

_generated, _variable = cast(Any, intrinsic), cast(Any, cgutils.alloca_once_value)  # which have no types


@shared_kernel
def convolve(
    frames: Array,
    frame_size: int,
    row_step: int,
    pixel_step: int,
    starts: Array,
    taps: Array,
    rows: Array,
    lanes: Array,
    line: Array,
    total: Array,
) -> None:
    """Convolve a band of rows at all steps.

    Args:
        frames: What is convolved, flat: T frames and PIXELS·pixel_step more numbers. float32 messages, or bytes of
            spikes times LANES, uint16.
        frame_size: Numbers of a frame.
        row_step: Numbers from what an output row starts at to what the next one does.
        pixel_step: The same of output pixels.
        starts: Where the channels of each block start, (B,).
        taps: Where the numbers under the kernel lie from there on, (K,).
        rows: What they add: weights, float32 (B, K·LANES), or tables, int16 (B, K·BYTES·LANES).
        lanes: Which number of a pixel's B·LANES each output channel is, (C,).
        line: For an output row, in the type of `rows`, (pixels·B·LANES,), with whole PIXELS.
        total: Filled, in the type of `rows`, (T, rows, W·C).
    """
    blocks, channels = len(starts), len(lanes)
    pitch = blocks * LANES
    width = total.shape[2] // channels
    fits = channels == pitch and width % PIXELS == 0
    for t in range(total.shape[0]):
        for y in range(total.shape[1]):
            top, out = t * frame_size + y * row_step, total[t, y]
            sums = out if fits else line
            for block in range(blocks):
                first, at, added = top + starts[block], block * LANES, rows[block]
                for x in range(0, width, PIXELS):
                    _add_taps(frames, first + x * pixel_step, pixel_step, taps, added, sums, at + x * pitch, pitch)
            if not fits:
                for x in range(width):
                    for channel in range(channels):
                        out[x * channels + channel] = line[x * pitch + lanes[channel]]


@_generated  # type: ignore[untyped-decorator, unused-ignore]
def _add_taps(
    _: Any, frames: Any, first: Any, pixel_step: Any, taps: Any, rows: Any, line: Any, at: Any, pitch: Any
) -> Any:
    """For PIXELS pixels p, line[at + p·pitch :][:LANES] = Σ_k row_k(frames[first + p·pixel_step + taps[k]]).

    row_k(x) is x·weights_k for messages, and the row of table k that starts at x for spikes.
    """
    signature = types.void(frames, first, pixel_step, taps, rows, line, at, pitch)
    by_table = isinstance(frames.dtype, types.Integer)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def array(position: int) -> Any:
            return context.make_array(signature.args[position])(context, builder, arguments[position])

        _, first, pixel_step, _, _, _, at, pitch = arguments
        frames, taps, rows, line = (array(position).data for position in (0, 3, 4, 5))
        number = context.get_value_type(signature.args[4].dtype)
        vector = ir.VectorType(number, LANES)
        size = signature.args[4].dtype.bitwidth // 8

        first_lane = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)

        def row_at(index: Any) -> Any:
            place = builder.bitcast(builder.gep(rows, [index]), vector.as_pointer())
            return builder.load(place, align=size)

        def everywhere(value: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(one, undefined, first_lane)

        sums = [_variable(builder, ir.Constant(vector, None)) for _ in range(PIXELS)]
        long = ir.IntType(64)
        with cgutils.for_range(builder, builder.extract_value(array(3).shape, 0)) as loop:
            place = builder.add(first, builder.load(builder.gep(taps, [loop.index])))
            row = builder.mul(loop.index, ir.Constant(long, LANES * (BYTES if by_table else 1)))
            weights = None if by_table else row_at(row)
            for total in sums:
                x = builder.load(builder.gep(frames, [place]))
                if by_table:
                    added = builder.add(builder.load(total), row_at(builder.add(row, builder.zext(x, long))))
                else:  # contract: may become one instruction; neither rounds
                    product = builder.fmul(everywhere(x), weights, flags=("contract",))
                    added = builder.fadd(builder.load(total), product, flags=("contract",))
                builder.store(added, total)
                place = builder.add(place, pixel_step)
        for total in sums:
            builder.store(
                builder.load(total), builder.bitcast(builder.gep(line, [at]), vector.as_pointer()), align=size
            )
            at = builder.add(at, pitch)

    return signature, generate
