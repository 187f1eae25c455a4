"""Transcoding to the form that views are read from: MPEG-4 Part 2, GOPs of one I-frame and T P-frames, no B-frames."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from hybridnet.config import PreprocessConfig
from hybridnet.errors import VideoError
from hybridnet.video.stream import Source, decode, open_stream
from hybridnet.video.structure import QUARTER_TURN, rotation_of

QUANTISER = 2
"""MPEG-4 quantiser, 1 to 31: 2 is visually lossless at a third of the size of 1."""

FRAME_RATE = 25
"""Nominal frames/s. Views count frames, not seconds, and MPEG-4 cannot express every source's time base."""


MAX_COPY_BYTES = 1 << 30
"""Largest transcoded copy: it is held in memory."""


def add_gop_stream(output: OutputContainer, width: int, height: int, gop: int) -> VideoStream:
    """Add an MPEG-4 stream that repeats one I-frame and `gop` − 1 P-frames without exception."""
    # The quantiser is fixed by both ends of its range: a frame's own quality is lost on the way through PyAV. The
    # default scene-change threshold would insert I-frames at cuts.
    options = {"qmin": str(QUANTISER), "qmax": str(QUANTISER), "sc_threshold": "1000000000", "flags": "+bitexact"}
    stream = output.add_stream("mpeg4", rate=FRAME_RATE, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.gop_size = gop
    stream.codec_context.max_b_frames = 0
    stream.codec_context.thread_count = 1
    return stream


def transcode(source: Source, path: Path, preprocess: PreprocessConfig) -> bytes:
    """Transcode a video in memory, of any codec, and turn it upright.

    Frames from the first I-frame on are kept, one for one, whatever their time stamps; lost packets have none.

    Args:
        source: What to read.
        path: The user's file, for messages.
        preprocess: Size of the frames and T.

    Returns:
        An AVI file.

    Raises:
        VideoError: As `open_stream`, or if the copy grows beyond `MAX_COPY_BYTES`.
    """
    buffer = BytesIO()
    reformatter = VideoReformatter()
    width, height = preprocess.frame_width, preprocess.frame_height
    opened = open_stream(source, path, any_codec=True)
    with opened as (container, stream), av.open(buffer, "w", format="avi") as output:
        encoder = add_gop_stream(output, width, height, preprocess.steps + 1)
        count = 0
        for _, frame in decode(container, stream):
            if frame is None or (count == 0 and int(frame.pict_type) != 1):
                continue
            if buffer.tell() > MAX_COPY_BYTES:
                remedy = f"Cut it: a transcoded copy takes at most {MAX_COPY_BYTES >> 20} MiB"
                raise VideoError(f"is too large to transcode in memory after {count} frames", where=path, remedy=remedy)
            # One thread: several would race for the bytes beyond the last line of each (see `FrameReader`).
            picture = reformatter.reformat(upright(frame), width=width, height=height, format="yuv420p", threads=1)
            # The source's time stamps and frame kinds would steer the encoder.
            picture.pts, picture.time_base = count, Fraction(1, FRAME_RATE)
            picture.pict_type = 0
            output.mux(encoder.encode(picture))
            count += 1
        output.mux(encoder.encode(None))
    return buffer.getvalue()


def upright(frame: VideoFrame) -> VideoFrame:
    """Turn a frame as its metadata tell a player to; itself if they do not."""
    if not rotation_of(frame):
        return frame
    colours = frame.reformat(format="rgb24", threads=1).to_ndarray()
    picture = np.rot90(np.asarray(colours, np.uint8), rotation_of(frame) // QUARTER_TURN)
    return VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
