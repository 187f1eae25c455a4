"""Sources that fail, are silent or never end: reading ends in one line, in time, and at a signal at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path

import av
import pytest
from helpers.reader_clips import PREPROCESS, encode, pictures

from hybridnet.errors import ConfigError, VideoError
from hybridnet.video import make_clip, open_clip, open_live
from hybridnet.video.container import open_container
from hybridnet.video.source import open_file

HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.ts\n"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("made") / "clip.avi", "pan_left", 0, frames=24)


class Source:
    """Bytes handed out with a fault from some place on."""

    def __init__(self, content: bytes, fault: Callable[[int], object], after: int) -> None:
        self._content, self._fault, self._after, self._given = content, fault, after, 0

    def read(self, size: int, /) -> bytes:
        if self._given >= self._after:
            return self._fault(size)  # type: ignore[return-value] # that is the fault
        piece = self._content[self._given : self._given + min(size, 1000)]
        self._given += len(piece)
        return piece


def raising(error: BaseException) -> Callable[[int], object]:
    def fault(size: int) -> object:
        raise error

    return fault


FAULTS: dict[str, tuple[Callable[[int], object], str]] = {
    "more than asked": (lambda size: bytes(size + 1), "returned .* bytes"),
    "much more": (lambda size: bytes(1 << 22), "returned .* bytes"),
    "text": (lambda size: "x" * size, "returned a str"),
    "none": (lambda size: None, "returned a NoneType"),
    "an array": (lambda size: bytearray(size), "returned a bytearray"),
    "an error": (raising(ValueError("closed")), "reading it raised ValueError: closed"),
    "an error of the system": (raising(OSError(5, "Input/output error")), "Input/output error"),
    "an error of FFmpeg": (raising(av.InvalidDataError(1, "odd")), "odd"),
    "too little memory": (raising(MemoryError()), "memory"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("after", [0, 60_000])
def test_a_faulty_source_ends_in_one_line(clip: Path, fault: str, after: int) -> None:
    what, message = FAULTS[fault]
    assert after < clip.stat().st_size
    source = Source(clip.read_bytes(), what, after)
    with pytest.raises(VideoError, match=message), open_live(source, PREPROCESS, options={"probesize": "4096"}) as live:
        list(live)


def test_a_source_that_cannot_be_read_is_told() -> None:
    for source in (b"bytes", 3, None, object()):
        with pytest.raises(ConfigError, match="source"):
            open_live(source, PREPROCESS)  # type: ignore[arg-type] # that is the fault


def test_faulty_seeking_ends_in_one_line(clip: Path) -> None:
    class Seeks(BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            raise RuntimeError("no")

    with pytest.raises(VideoError, match="RuntimeError: no"):
        list(open_live(Seeks(clip.read_bytes()), PREPROCESS))


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A TCP server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_silent_source_ends_in_time() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb"), os.fdopen(reading, "rb") as pipe, pytest.raises(VideoError, match=r"for 0\.2 s"):
        open_live(pipe, PREPROCESS, limit_s=0.2)
    with silent_server() as port:
        for scheme in ("tcp", "http", "rtsp"):
            with pytest.raises(VideoError, match="127"):
                open_live(f"{scheme}://127.0.0.1:{port}", PREPROCESS, limit_s=0.2)


def test_a_playlist_from_the_web_is_refused() -> None:
    asked: list[str] = []

    class Serve(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(HLS)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(VideoError, match="cannot be opened"):
            open_live(f"http://127.0.0.1:{server.server_port}/list.m3u8", PREPROCESS)
        server.shutdown()
    assert set(asked) == {"/list.m3u8"}


def test_a_file_whose_next_picture_is_nowhere_ends_in_time(clip: Path, tmp_path: Path) -> None:
    """A header, and then nothing but zeros: a search through all of it would take minutes."""
    path = Path(shutil.copy(clip, tmp_path / "sparse.avi"))
    with path.open("r+b") as file:
        file.truncate(40_000)
        file.truncate(1 << 34)
    started = time.monotonic()
    late = pytest.raises(VideoError, match=r"was not found in 0\.5 s")
    with late, open_container(open_file(path), path, owned=True, limit_s=0.5) as opened:
        list(opened.demux(opened.streams.video[0]))
    assert time.monotonic() - started < 30


INTERRUPTED = """
import signal, sys, threading
from pathlib import Path
from hybridnet.config import PreprocessConfig
from hybridnet.video import open_clip, open_live

signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
threading.Timer(0.5, print, ["reading"], {"flush": True}).start()
source = {"stdin": sys.stdin.buffer, "address": sys.argv[2]}.get(sys.argv[1], Path(sys.argv[2]))
try:
    (open_clip if sys.argv[1] == "file" else open_live)(source, PreprocessConfig())
except KeyboardInterrupt:
    sys.exit(42)
"""


@pytest.mark.parametrize(
    ("kind", "number"), [("stdin", signal.SIGINT), ("address", signal.SIGTERM), ("file", signal.SIGINT)]
)
def test_a_signal_ends_waiting_at_once(clip: Path, tmp_path: Path, kind: str, number: signal.Signals) -> None:
    sparse = Path(shutil.copy(clip, tmp_path / "sparse.avi"))
    with sparse.open("r+b") as file:
        file.truncate(40_000)
        file.truncate(1 << 34)
    with silent_server() as port:
        where = f"tcp://127.0.0.1:{port}" if kind == "address" else str(sparse)
        command = [sys.executable, "-c", INTERRUPTED, kind, where]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "reading\n"
            process.send_signal(number)
            started = time.monotonic()
            assert process.wait(60) == 42, process.stderr.read()
            assert time.monotonic() - started < 20
            assert process.stderr.read() == ""


def test_too_little_memory_is_told_and_not_taken_for_damage(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a decoder, and for an array."""

    def short(*_: object, **__: object) -> None:
        raise MemoryError

    for module, name in (("hybridnet.video.stream", "_stamped"), ("hybridnet.video.gop", "planar")):
        with monkeypatch.context() as patched, open_clip(clip, PREPROCESS) as opened:
            patched.setattr(f"{module}.{name}", short)
            with pytest.raises(VideoError, match="memory"):
                list(opened)


def test_ffmpeg_writes_nothing_to_stderr(tmp_path: Path, clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(clip.read_bytes())
    content[len(content) // 2 :: 97] = bytes(len(content[len(content) // 2 :: 97]))
    (tmp_path / "damaged.avi").write_bytes(content)
    for path in (tmp_path / "damaged.avi", encode(tmp_path / "clip.webm", "libvpx", pictures(24))):
        with contextlib.suppress(VideoError), open_clip(path, PREPROCESS, transcode="always") as opened:
            list(opened)
    assert capfd.readouterr().err == ""
