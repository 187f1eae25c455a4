"""A video is a video: what is opened, what is refused in one line, and how reading ends."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from helpers.reader_clips import PREPROCESS, encode, pictures, raw_stream

from hybridnet.cli import main
from hybridnet.errors import ConfigError, VideoError
from hybridnet.video import make_clip, open_clip, open_live
from hybridnet.video.container import open_container
from hybridnet.video.source import open_file
from hybridnet.video.stream import open_stream

SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.2\ns=x\nc=IN IP4 127.0.0.2\nt=0 0\nm=video %d RTP/AVP 96\na=rtpmap:96 H264/90000\n"
HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n%s\n"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("made") / "clip.avi", "pan_left", 0, frames=24)


ELSEWHERE = {
    "playlist": HLS % b"clip.avi" + b"#EXT-X-ENDLIST\n",
    "playlist without an end": HLS % b"clip.avi",
    "playlist of a pipe": HLS % b"pipe:0",
    "concat script": b"ffconcat version 1.0\nfile clip.avi\n",
    "endless concat script": b"ffconcat version 1.0\n" + b"file clip.avi\n" * 20_000,
    "concat script of a FIFO": b"ffconcat version 1.0\nfile fifo.avi\n",
    "session description": SDP % 40_002,
    "DASH": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic"><Period/></MPD>',
    "list of pictures": b"clip%03d.avi",
    "text": b"Dear diary,\n" * 50,
    "sound": b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(1000),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
@pytest.mark.parametrize("suffix", [".avi", ".m3u8"])
def test_what_opens_other_things_is_refused(tmp_path: Path, clip: Path, kind: str, suffix: str) -> None:
    """Whatever its name; from a file, from bytes and as a live source."""
    shutil.copy(clip, tmp_path / "clip.avi")
    os.mkfifo(tmp_path / "fifo.avi")
    path = tmp_path / f"input{suffix}"
    path.write_bytes(ELSEWHERE[kind])
    with pytest.raises(VideoError, match="cannot be opened"):
        open_clip(path, PREPROCESS)
    with pytest.raises(VideoError, match="cannot be opened"), open_stream(ELSEWHERE[kind], path):
        pass
    with pytest.raises(VideoError, match="cannot be opened"):
        open_live(BytesIO(ELSEWHERE[kind]), PREPROCESS)
    with pytest.raises(VideoError, match="cannot be opened"):
        open_live(path, PREPROCESS, idle_s=0.0)


def test_no_option_of_a_caller_opens_other_files(tmp_path: Path, clip: Path) -> None:
    options = {"protocol_whitelist": "file,udp,rtp", "format_whitelist": "hls,sdp,concat", "safe": "0"}
    for content in ELSEWHERE.values():
        with pytest.raises(VideoError, match="cannot be opened"):
            open_live(BytesIO(content), PREPROCESS, options=options)
    for name in ("hls", "concat", "sdp", "image2", "lavfi", "x11grab", "tty"):
        with pytest.raises(ConfigError, match="container_format"):
            open_live(BytesIO(clip.read_bytes()), PREPROCESS, container_format=name)


def test_a_description_of_a_session_binds_no_socket() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(VideoError):
        open_live(BytesIO(SDP % port), PREPROCESS)
    assert len(set(Path("/proc/self/fd").iterdir()) - before) == 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))


CODECS = {
    "clip.avi": "mpeg4",
    "clip.mp4": "mpeg4",
    "clip.mkv": "mpeg4",
    "clip.nut": "mpeg4",
    "clip.ts": "mpeg2video",
    "clip.mpg": "mpeg1video",
    "clip.vob": "mpeg2video",
    "clip.flv": "flv",
    "clip.wmv": "wmv2",
    "clip.rm": "rv10",
    "clip.webm": "libvpx",
    "clip.ivf": "libvpx-vp9",
    "clip.gif": "gif",
    "clip.mxf": "mpeg2video",
    "clip.mov": "h263",
}


@pytest.mark.parametrize("name", CODECS)
def test_containers_of_videos_are_recognised_by_content(tmp_path: Path, name: str) -> None:
    whole = CODECS[name] in ("h263", "rv10")  # codecs of few frame sizes
    size = (176, 144) if whole else (170, 128)
    frames = pictures(3).repeat(2, axis=1).repeat(2, axis=2)[:, :144, :176] if whole else pictures(3)
    path = encode(tmp_path / name, CODECS[name], frames).rename(tmp_path / "no suffix")
    with open_container(open_file(path), path, owned=True) as opened:
        context = opened.streams.video[0].codec_context
        assert (context.width, context.height) == size


@pytest.mark.parametrize("name", ["raw.m4v", "raw.unknown"])
def test_bare_streams_are_recognised_by_content(tmp_path: Path, clip: Path, name: str) -> None:
    with open_clip(raw_stream(tmp_path / name, clip), PREPROCESS) as opened:
        assert opened.gop_count == 2


PROTOCOL_NAMES = [
    *("pipe:0", "concat:a|b", "file:clip.avi", "data:video", "http:clip.avi", "subfile,,start,0,end,9,,:clip.avi"),
    *("clip%03d.avi", "clip*.avi", "-", "cache:x", "\x1b[31m.avi", "crypto:x", "a" * 251 + ".avi", "ü" * 125 + ".avi"),
]


@pytest.mark.parametrize("name", PROTOCOL_NAMES)
@pytest.mark.parametrize("folder", [".", "http:/host"])
def test_a_file_is_opened_whatever_its_name(
    tmp_path: Path, clip: Path, name: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder) / name
    shutil.copy(clip, path)
    with open_clip(str(path), PREPROCESS) as opened:
        assert opened.gop_count == 2
    with open_live(f"http://host/{name}" if folder != "." else name, PREPROCESS, idle_s=0.0) as live:
        assert len(list(live)) == 2


def a_fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo.avi")
    return folder / "fifo.avi"


def a_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "s"))
    return folder / "s"


def a_loop(folder: Path) -> Path:
    (folder / "loop.avi").symlink_to("loop.avi")
    return folder / "loop.avi"


def a_dangling_link(folder: Path) -> Path:
    (folder / "link.avi").symlink_to("nothing.avi")
    return folder / "link.avi"


NO_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "fifo": (a_fifo, "is a named pipe, .*hybridnet watch - < PIPE"),
    "socket": (a_socket, "is a socket"),
    "endless device": (lambda _: Path("/dev/zero"), "is a device, .*watch DEVICE --input-format v4l2"),
    "terminal": (lambda _: Path("/dev/tty"), "is a device"),
    "folder": (lambda folder: folder, "is a folder"),
    "loop": (a_loop, "cannot be opened"),
    "dangling link": (a_dangling_link, "does not exist"),
    "below a file": (lambda _: Path(__file__) / "clip.avi", "does not exist"),
    "name with NUL": (lambda folder: folder / "a\0.avi", "cannot be opened"),
    "name too long": (lambda folder: folder / ("a" * 300), "cannot be opened"),
    "address": (lambda _: Path("rtsp://camera/1"), "rtsp://camera/1: is a URL, not a file"),
    "address of the web": (lambda _: Path("https://example.org/a.mp4"), "https://example.org/a.mp4: is a URL"),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_told_at_once(tmp_path: Path, kind: str) -> None:
    make, message = NO_FILES[kind]
    path = make(tmp_path)
    for read in (open_clip, open_live):
        with pytest.raises(VideoError, match=message) as caught:
            read(path, PREPROCESS)
        assert caught.value.remedy
        assert path.name in f"{caught.value}"


def test_commands_tell_that_a_url_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "rtsp://camera/1"
    for command in (["inspect", url], ["simulate", url], ["transcode", url, "-o", str(tmp_path)]):
        assert main(command) == 1
        assert f"hybridnet: error: {url}: is a URL, not a file" in capsys.readouterr().err
