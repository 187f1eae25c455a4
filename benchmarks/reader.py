"""How fast clips are read, and how much memory that takes: python benchmarks/reader.py, about 2 minutes on 2 cores.

`--one-core` is for one core, `--load` keeps one busy meanwhile, `--rates` leaves out peer and memory. To compare with
motion-vector-extractor, install it where Python finds it: pip install motion-vector-extractor.
"""

from __future__ import annotations

import importlib.util
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from measuring import beside, conditions, keep_to_one_core, parser

from hybridnet.config import PreprocessConfig
from hybridnet.errors import VideoError
from hybridnet.video import make_clip, mv_grid, open_clip, prepare_view
from hybridnet.video.coded import block_vectors
from hybridnet.video.grid import to_pixels
from hybridnet.video.reader import sample_indices
from hybridnet.video.stream import decode, open_stream
from hybridnet.video.views import load_kernels

CLIPS = Path(__file__).parents[2] / "shared" / "data" / "clips"
PREPROCESS = PreprocessConfig()
ROUNDS = 9
VIEWS = 8
FRAMES = 300
OPENS = 500
LONG_CLIP_FRAMES = 20_000
COVIAR_MODALITIES = 3


def main() -> None:
    """Print all measurements."""
    options = parser(__doc__)
    options.add_argument("--rates", action="store_true", help="leave out motion-vector-extractor and memory")
    args = options.parse_args()
    if args.one_core:
        keep_to_one_core()
    print(conditions(load=args.load))
    with tempfile.TemporaryDirectory() as folder, beside(load=args.load):
        made = make_clip(Path(folder) / "made.avi", "pan_left", 0, frames=FRAMES, width=340, height=256)
        long = make_clip(Path(folder) / "part.avi", "shake", 0, frames=240, width=64, height=48)
        load_kernels()
        print("frames/s               decode    vectors  pixel map          Π       Π, Δ   Π : decode   Π, Δ : decode")
        for path in [made, *real_clips()]:
            print_rates(path)
        print_sampling(made)
        if args.rates:
            return
        print_peer(made)
        print_memory(repeated(long, Path(folder) / "long.avi"), made)


def real_clips() -> list[Path]:
    """Three real clips that are read as they are, if there are any."""
    found: list[Path] = []
    for path in sorted(CLIPS.glob("*")):
        try:
            with open_clip(path, PREPROCESS, transcode="never") as clip:
                if not clip.info.reason and clip.gop_count > 5:
                    found.append(path)
        except VideoError:
            continue
    return found[:3]


def print_rates(path: Path) -> None:
    """Frames per second of each stage."""
    frames = sum(1 for _ in decoded(path, vectors=False))
    stages: list[Callable[[Path], object]] = [decode_only, vectors, pixel_map, motion_alone, motion_and_residuals]
    rates = [frames / time_s for time_s in interleaved([partial(stage, path) for stage in stages])]
    cells = "".join(f"{rate:11.0f}" for rate in rates)
    print(f"{path.stem[:18]:18s}{cells}{rates[-2] / rates[0]:13.2f}{rates[-1] / rates[0]:16.2f}")


def decode_only(path: Path) -> None:
    """Decode every frame, without vectors."""
    exhaust(decoded(path, vectors=False))


def vectors(path: Path) -> None:
    """FFmpeg's list of vectors of every P-frame."""
    exhaust(block_vectors(frame) for frame in decoded(path))


def pixel_map(path: Path) -> None:
    """τ of every pixel of every P-frame."""
    exhaust(to_pixels(tau, frame.height, frame.width) for frame, tau in grids(path))


def motion_alone(path: Path) -> None:
    """Every view of the clip without residuals: Π of every P-frame."""
    with open_clip(path, PREPROCESS, transcode="never", residuals=False) as clip:
        exhaust(clip)


def motion_and_residuals(path: Path) -> None:
    """Every view of the clip: Π and Δ of every P-frame in RGB, all of them in memory at once for each GOP."""
    with open_clip(path, PREPROCESS, transcode="never") as clip:
        exhaust(clip)


def decode_to_rgb(path: Path) -> None:
    """Every frame as an RGB array, the fast way."""
    reformatter = VideoReformatter()
    exhaust(reformatter.reformat(frame, format="rgb24").to_ndarray() for frame in decoded(path, vectors=False))


def sample(path: Path) -> None:
    """Open a clip and read views spread over it."""
    with open_clip(path, PREPROCESS) as clip:
        exhaust(clip.sample(VIEWS))


def sample_crops(path: Path) -> None:
    """The same, of the centre crop only."""
    with open_clip(path, PREPROCESS, crop=True) as clip:
        exhaust(clip.sample(VIEWS))


def sample_to_tensors(path: Path) -> None:
    """As `sample`, cropped and scaled for the model."""
    with open_clip(path, PREPROCESS, crop=True) as clip:
        exhaust(prepare_view(view, PREPROCESS) for view in clip.sample(VIEWS))


def read_as_coviar(path: Path) -> None:
    """What CoViAR's loader does: for each sample and modality, decode from the start up to the GOP that it needs."""
    length = PREPROCESS.steps + 1
    for gop in sample_indices(FRAMES // length, VIEWS):
        for _ in range(COVIAR_MODALITIES):
            exhaust(zip(decoded(path), range(length * (gop + 1)), strict=False))


def print_sampling(path: Path) -> None:
    """Time of 8 views against decoding everything."""
    ways: dict[str, Callable[[Path], None]] = {
        "the views": sample,
        "the centre crops of the views": sample_crops,
        "the same as tensors": sample_to_tensors,
        "decoding the whole clip": decode_only,
        "decoding the whole clip to RGB": decode_to_rgb,
        "all views of the clip": motion_and_residuals,
        "decoding the CoViAR way": read_as_coviar,
    }
    print(f"\n{VIEWS} views of 300 frames, 340×256, with opening       views : this   crops : this")
    times = interleaved([partial(read, path) for read in ways.values()])
    for name, time_s in zip(ways, times, strict=True):
        print(f"  {name:32s}{time_s * 1e3:7.0f} ms{times[0] / time_s:15.2f}{times[1] / time_s:15.2f}")


def print_peer(path: Path) -> None:
    """Speed and equality of vectors with motion-vector-extractor."""
    if importlib.util.find_spec("mvextractor") is None:
        print("\nmotion-vector-extractor is not installed: pip install motion-vector-extractor")
        return
    theirs, ours = interleaved([lambda: exhaust(peer_frames(path)), lambda: exhaust(our_frames(path))])
    same = all(np.array_equal(one, other) for one, other in zip(peer_vectors(path), our_vectors(path), strict=True))
    rates = f"{FRAMES / ours:.0f}/s, motion-vector-extractor {FRAMES / theirs:.0f}/s, ratio {theirs / ours:.2f}"
    print(f"\nFrames and vectors: {rates}; same vectors: {same}")


def peer_frames(path: Path) -> Iterator[tuple[Any, ...]]:
    """What motion-vector-extractor reads."""
    from mvextractor.videocap import VideoCap  # type: ignore[import-not-found, unused-ignore]

    reader = VideoCap()
    reader.open(str(path))
    while (read := reader.read())[0]:
        yield read
    reader.release()


def our_frames(path: Path) -> Iterator[tuple[Any, Any]]:
    """Frames in its colours, and vectors."""
    reformatter = VideoReformatter()
    for frame in decoded(path):
        yield reformatter.reformat(frame, format="bgr24", threads=1).to_ndarray(), block_vectors(frame)


def peer_vectors(path: Path) -> Iterator[Any]:
    """Source, width, height, source and target of every block, shape (n, 7)."""
    for read in peer_frames(path):
        yield np.asarray(read[2])[:, :7].astype(int).reshape(-1, 7)


def our_vectors(path: Path) -> Iterator[Any]:
    """The same from here."""
    fields = ("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y")
    for frame in decoded(path):
        blocks = block_vectors(frame)
        yield np.empty((0, 7), int) if blocks is None else np.stack([blocks[f].astype(int) for f in fields], axis=1)


def print_memory(long: Path, clip: Path) -> None:
    """Memory after a warm-up and at the end of a long clip and of many short ones."""
    with open_clip(long, PREPROCESS) as opened:
        views = iter(opened)
        exhaust(next(views) for _ in range(100))
        before = resident_mib()
        exhaust(views)
        after = resident_mib()
        print(
            f"\nMemory over {opened.info.frames} frames, 64×48: {before:.0f} MiB after 1200, {after:.0f} MiB at the end"
        )
    for _ in range(20):
        sample_one(clip)
    before = resident_mib()
    for _ in range(OPENS):
        sample_one(clip)
    print(
        f"Memory over {OPENS} clips opened for a view: {before:.0f} MiB after 20, {resident_mib():.0f} MiB at the end"
    )
    print(f"Largest: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def sample_one(path: Path) -> None:
    """Open a clip and read one view."""
    with open_clip(path, PREPROCESS) as clip:
        exhaust(clip.sample(1))


def repeated(part: Path, path: Path) -> Path:
    """A long clip of the same GOPs over and over, without encoding them again."""
    with av.open(str(part)) as source, av.open(str(path), "w") as output:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        copy = output.add_stream_from_template(stream)
        for n in range(LONG_CLIP_FRAMES):
            packet = av.Packet(bytes(packets[n % len(packets)]))
            packet.pts = packet.dts = n
            packet.stream = copy
            packet.is_keyframe = packets[n % len(packets)].is_keyframe
            output.mux(packet)
    return path


def decoded(path: Path, *, vectors: bool = True) -> Iterator[VideoFrame]:
    """All frames."""
    with open_stream(path, path) as (container, stream):
        if not vectors:
            stream.codec_context.options = {}
        for _, frame in decode(container, stream):
            if frame is not None:
                yield frame


def grids(path: Path) -> Iterator[tuple[VideoFrame, Any]]:
    """All frames, and τ on the grid."""
    for frame in decoded(path):
        blocks = block_vectors(frame)
        if blocks is not None:
            yield frame, mv_grid(blocks, frame.height, frame.width)[0]
        else:
            yield frame, np.zeros((2, 2, 2), np.int16)


def exhaust(items: Iterable[object]) -> None:
    """Let go of each before the next."""
    deque(items, maxlen=0)


def interleaved(runs: Sequence[Callable[[], object]]) -> list[float]:
    """Seconds of the fastest of a few rounds of each; taking turns, so that a slow spell of the machine hits all."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, taken in zip(runs, times, strict=True):
            started = time.perf_counter()
            run()
            taken.append(time.perf_counter() - started)
    return [min(taken) for taken in times]


def resident_mib() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
