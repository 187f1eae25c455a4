"""Opening a video and decoding it packet by packet, whatever state it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hybridnet.errors import VideoError
from hybridnet.video.container import VideoContainer, open_container
from hybridnet.video.fields import is_field_picture
from hybridnet.video.source import open_file

Source = Path | bytes
"""A file, or the bytes of one."""

VIDEO_SUFFIXES = frozenset(
    {
        *(".3gp", ".avi", ".divx", ".flv", ".h264", ".m2ts", ".m4v", ".mkv", ".mov"),
        *(".mp4", ".mpeg", ".mpg", ".nut", ".ts", ".vob", ".webm", ".wmv"),
    }
)
"""What counts as a video when a folder is searched; a file that is named itself may have any suffix."""

MAX_SIDE = 8192
"""Longest side of a frame in pixels."""

MAX_PIXELS = MAX_SIDE * MAX_SIDE // 4
"""Largest frame in pixels (4096 by 4096): a header may claim any size, and every frame of that size costs memory."""

REENCODE = "Re-encode it: ffmpeg -i INPUT -c:v mpeg4 -g 12 -bf 0 -sc_threshold 1000000000 -q:v 2 OUTPUT.avi"

TRANSCODE = f'Transcode it on reading (transcode="always"). {REENCODE}'

EXPORTS_VECTORS = {
    *("mpeg4", "h264", "mpeg1video", "mpeg2video", "h263", "flv"),
    *("msmpeg4", "msmpeg4v1", "msmpeg4v2", "wmv1", "wmv2", "h261", "rv10", "rv20"),
    *("rv30", "rv40", "snow"),
}
"""Codecs whose motion vectors FFmpeg exports. All but H.264 and the last line predict P-frames from the one before."""

_LOW_DELAY = {"mpeg1video", "mpeg2video", "mpeg4"}
"""Where FFmpeg holds a frame back, it gives the last one without its vectors; with these it need not hold any."""

_INTRA_ONLY = {"apng", "bmp", "dnxhd", "dvvideo", "ffv1", "gif", "huffyuv", "mjpeg", "png", "prores", "rawvideo"}


@contextmanager
def open_stream(
    source: Source,
    path: Path,
    *,
    any_codec: bool = False,
    skip_b_frames: bool = False,
    low_delay: bool = False,
    pixels: bool = True,
) -> Iterator[tuple[VideoContainer, VideoStream]]:
    """Open the first video stream, ready to decode with motion vectors.

    Args:
        source: What to read.
        path: The user's file, for messages.
        any_codec: Admit codecs without motion vectors, to transcode them.
        skip_b_frames: Decode only frames that others refer to.
        low_delay: No B-frames will be decoded, so no frame need wait for another: MPEG-1, 2 and 4 then give the last
            frame's vectors too.
        pixels: Whether the pixels of P-frames are wanted. If not, the decoder adds no residuals to them; vectors and
            I-frames are the same.

    Raises:
        VideoError: If the source is missing, is no video, has too large a frame or a codec without motion vectors.
    """
    if isinstance(source, bytes):
        opened = open_container(BytesIO(source), path)
    else:
        file = open_file(source)
        if not file.seek(0, SEEK_END):
            file.close()
            raise VideoError("is empty", where=path, remedy="Copy or record it again")
        file.seek(0)
        opened = open_container(file, path, owned=True)
    with opened as container:
        stream = prepare(
            container, path, any_codec=any_codec, skip_b_frames=skip_b_frames, low_delay=low_delay, pixels=pixels
        )
        yield container, stream


def prepare(
    container: VideoContainer,
    path: object,
    *,
    any_codec: bool = False,
    skip_b_frames: bool = False,
    low_delay: bool = False,
    pixels: bool = True,
) -> VideoStream:
    """Ready the first video stream of a container to decode with motion vectors; arguments as `open_stream`'s.

    Raises:
        VideoError: If there is none, or it has too large a frame or a codec without motion vectors.
    """
    if not container.streams.video:
        raise VideoError("has no video stream", where=path, remedy="Name a file with pictures in it")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise VideoError(
            "holds a codec that FFmpeg does not know", where=path, remedy="Check the file, or re-encode it"
        )
    _check_stream(stream, path, any_codec)
    # Frame threads race with the export of vectors in H.264 with B-frames. Options set after the first decoded frame
    # would be ignored.
    stream.thread_type = "SLICE"
    stream.codec_context.thread_count = 1
    if skip_b_frames:
        stream.codec_context.skip_frame = "NONREF"
    options = {"flags2": "+export_mvs", "max_pixels": str(MAX_PIXELS)}
    if low_delay and stream.codec_context.name in _LOW_DELAY:
        options["flags"] = "+low_delay"
    if not pixels:
        options["skip_idct"] = "nokey"
    stream.codec_context.options = options
    return stream


def data_packets(container: VideoContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Packets of a stream that hold data.

    Raises:
        VideoError: If the source cannot be read on, or not in time.
        av.FFmpegError: If the container is damaged from here on.
    """
    return (packet for packet in container.demux(stream) if packet.size)


@dataclass
class Tally:
    """What a decoder was given so far.

    Attributes:
        packets: Packets, one frame each.
        bytes: Their bytes.
        hidden: Packets whose frames an edit list hides.
        fields: Packets that hold pictures coded as single fields (MPEG-2).
    """

    packets: int = 0
    bytes: int = 0
    hidden: int = 0
    fields: int = 0

    def add(self, codec: str, packet: Packet[VideoStream]) -> None:
        """Count a packet."""
        self.packets += 1
        self.bytes += packet.size
        self.hidden += packet.is_discard
        self.fields += is_field_picture(codec, packet)


def unhidden(packet: Packet[VideoStream]) -> Packet[VideoStream]:
    """The packet; where an edit list hides its frame, a copy whose frame the decoder gives: others refer to it."""
    if not packet.is_discard:
        return packet
    copy: Packet[Any] = Packet(bytes(packet))
    return copy


def decode(
    container: VideoContainer,
    stream: VideoStream,
    wanted: Callable[[int], bool] | None = None,
    tally: Tally | None = None,
    packets: Iterator[Packet[VideoStream]] | None = None,
) -> Iterator[tuple[int, VideoFrame | None]]:
    """Decode packets, stamped with their ordinal so that a frame tells its packet whatever the decoder's delay.

    Args:
        container: An open container.
        stream: Its video stream.
        wanted: Whether to decode a packet, by its ordinal; asked when it is its turn. All are if None. The decoder
            forgets what came before a gap.
        tally: Told of every packet that is decoded.
        packets: Packets of the stream; all that the container holds if None.

    Yields:
        The packet's ordinal and a frame; or None instead of the frame when a packet cannot be decoded.

    Raises:
        VideoError: If the source cannot be read on, or not in time.
        MemoryError: If there is too little memory.
    """
    context = stream.codec_context
    # The closing None drains the decoder; an empty packet would do so there and then.
    coming = chain(data_packets(container, stream) if packets is None else packets, [None])
    ordinal, gap = -1, False
    try:
        for ordinal, packet in enumerate(coming):
            if wanted is not None and not wanted(ordinal):
                gap = True
                continue
            if gap:
                context.flush_buffers()
                gap = False
            if packet is not None:
                if tally is not None:
                    tally.add(context.name, packet)
                packet = unhidden(packet)
                packet.pts = packet.dts = ordinal
            try:
                frames = context.decode(packet)
            except av.FFmpegError as error:
                if isinstance(error, MemoryError):
                    raise
                yield ordinal, None
                continue
            # Nothing here may hold on to a frame that the caller has let go of: decoded frames are large.
            frames.reverse()
            while frames:
                yield _stamped(frames.pop(), ordinal)
    except av.FFmpegError as error:  # from demux: the container is damaged from here on
        if isinstance(error, MemoryError):
            raise
        yield ordinal + 1, None


def _stamped(frame: VideoFrame, ordinal: int) -> tuple[int, VideoFrame]:
    return ordinal if frame.pts is None else frame.pts, frame


def _check_stream(stream: VideoStream, path: object, any_codec: bool) -> None:
    codec, width, height = stream.codec_context.name, stream.codec_context.width, stream.codec_context.height
    if codec in _INTRA_ONLY and not any_codec:
        raise VideoError(f"has no P-frames: every frame of codec {codec!r} stands alone", where=path, remedy=TRANSCODE)
    if codec not in EXPORTS_VECTORS and not any_codec:
        raise VideoError(f"FFmpeg exports no motion vectors for codec {codec!r}", where=path, remedy=TRANSCODE)
    if not (width and height):
        raise VideoError("states no frame size", where=path, remedy=REENCODE)
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        limit = f"At most {MAX_PIXELS} pixels and {MAX_SIDE} a side are read"
        raise VideoError(f"has frames of {width} by {height} pixels", where=path, remedy=limit)
