"""`hybridnet watch` on a live stream over loopback: every GOP accounted for, memory, and latency after the last frame.

    python benchmarks/live.py [--seconds 180] [--kills 3] [--gops 30]

A process of its own sends a clip again and again as a camera would, 25 frames a second in NUT over HTTP. First
`hybridnet watch` follows it for so many seconds, while its source is killed (SIGKILL) and started again; what was sent
must equal what was predicted, dropped or cut off by a kill. Then it runs by turns with the spiking half a step at a
time, as frames come, and with whole GOPs once they are complete, in each of two back-ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from measuring import conditions, parser

from hybridnet.video import make_clip
from hybridnet.workflows.simulate import shipped_bundle_path

FPS, GOP, ROUNDS = 25, 12, 2
PATIENCE_S = 120.0
"""Longest that a turn, or reading on after a kill, may take."""

QUIET_S = 3.0
"""Seconds without a row after which none comes any more."""

MODES = {"as frames come": [], "whole, emulator": ["--snn", "emulator"], "whole, ONNX": ["--snn", "onnxruntime"]}


def main(seconds: float, kills: int, gops: int) -> None:
    """Print what was accounted for, memory and latencies."""
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder) / "clip.avi", "pan_left", 7, frames=10 * GOP, gop=GOP)
        session(clip, seconds, kills)
        latencies: dict[str, list[float]] = {mode: [] for mode in MODES}
        for _ in range(ROUNDS):
            for mode, options in MODES.items():
                with Source(clip) as source:
                    watched = Watched(source.url, options)
                    watched.await_rows(gops)
                watched.end()
                latencies[mode] += [row["latency_ms"] for row in watched.rows]
        print(f"\n{'spiking half':18}{'GOPs':>6}{'p50 ms':>9}{'p90 ms':>9}{'ratio of p50':>14}")
        first = np.median(latencies[next(iter(MODES))])
        for mode, found in latencies.items():
            p50, p90 = np.percentile(found, [50, 90])
            print(f"{mode:18}{len(found):6d}{p50:9.1f}{p90:9.1f}{p50 / first:14.2f}")


def session(clip: Path, seconds: float, kills: int) -> None:
    """One long session with a source that dies; ends with an error if a GOP is not accounted for."""
    begun = complete = 0
    source = Source(clip)
    watched = Watched(source.url, [])
    for _ in range(kills + 1):
        source = source if source.alive else Source(clip, source.port)
        time.sleep(seconds / (kills + 1))
        source.kill()
        watched.await_loss()
        begun, complete = begun + source.sent.count(b"I"), complete + source.complete
    code = watched.end()
    summary = watched.summary
    predicted, dropped, damaged = (summary[name] for name in ("gops", "dropped", "corrupt"))
    print(f"watched for {seconds:g} s, source killed {kills} times, opened {summary['connections']} times, exit {code}")
    print(f"GOPs sent {complete}, and {begun - complete} cut off by a kill")
    print(f"GOPs predicted {predicted} ({damaged} damaged), dropped {dropped}; not accounted for"
          f" {complete - predicted - dropped}")  # fmt: skip
    if complete != predicted + dropped or not predicted:
        sys.exit("live.py: GOPs are missing\n" + "".join(watched.said))
    print(f"latency after a GOP's last frame: p50 {summary['p50_ms']:.1f} ms, p90 {summary['p90_ms']:.1f} ms")
    print("resident memory, MiB: " + ", ".join(f"{mib:.1f} after GOP {gop}" for gop, mib in watched.memory()))


class Source:
    """A process that sends a clip to one client after the other.

    Attributes:
        port: On loopback.
        sent: A letter per frame that was sent, I or P; whole once it was killed.
    """

    def __init__(self, clip: Path, port: int | None = None) -> None:
        self.port, self.sent = free_port() if port is None else port, b""
        command = [sys.executable, __file__, "--feed", str(clip), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603
        assert self._process.stdout is not None  # noqa: S101
        os.read(self._process.stdout.fileno(), 1)  # it listens

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/live.nut"

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def complete(self) -> int:
        """GOPs all of whose frames were sent."""
        return sum(len(gop) == GOP - 1 for gop in self.sent.split(b"I")[1:])

    def kill(self) -> None:
        """Without a word, in the middle of what it sends."""
        self._process.kill()
        self.sent, _ = self._process.communicate()


@dataclass
class Watched:
    """A process of `hybridnet watch`; rows and memory are gathered in threads.

    Attributes:
        rows: What was told of the GOPs so far.
        resident: How many rows had come, and MiB, twice a second.
        said: Lines on stderr.
        summary: Once it has ended.
    """

    url: str
    options: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    resident: list[tuple[int, float]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        command = [sys.executable, "-c", "from hybridnet.cli import entry; entry()", "watch", self.url, "--json",
                   "--bundle", str(shipped_bundle_path("tiny-motion"))]  # fmt: skip
        self._losses = 0
        self._process = subprocess.Popen(  # noqa: S603
            [*command, *self.options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._threads = [threading.Thread(target=work) for work in (self._read, self._listen, self._look)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            row = json.loads(line)
            self.summary = row.get("summary", {})
            self.rows += [row] if "summary" not in row else []

    def _listen(self) -> None:
        for line in self._process.stderr or ():
            self.said.append(line)

    def _look(self) -> None:
        while self._process.poll() is None:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
            self.resident.append((len(self.rows), pages * os.sysconf("SC_PAGE_SIZE") / 2**20))
            time.sleep(0.5)

    def memory(self) -> list[tuple[int, float]]:
        """The most until a tenth, a half and all of the GOPs had come."""
        gops = [len(self.rows) // part for part in (10, 2, 1)]
        return [(gop, max(mib for count, mib in self.resident if count <= gop)) for gop in gops]

    def await_rows(self, count: int) -> None:
        """Wait for so many rows."""
        until = time.monotonic() + PATIENCE_S
        while len(self.rows) < count and time.monotonic() < until:
            time.sleep(0.05)

    def await_loss(self) -> None:
        """Wait until it has read all that its source sent, tells that it ended, and has computed the last GOP."""
        self._losses += 1
        until = time.monotonic() + PATIENCE_S
        while sum("lost (it ended)" in line for line in self.said) < self._losses and time.monotonic() < until:
            time.sleep(0.05)
        seen = -1
        while seen < len(self.rows):  # the last GOPs are still being computed
            seen = len(self.rows)
            time.sleep(QUIET_S)

    def end(self) -> int:
        """As Ctrl-C does; its exit code."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait()
        for thread in self._threads:
            thread.join()
        return code


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def feed(clip: Path, port: int) -> None:
    """Send the clip again and again to one client after the other, in real time; a letter per frame on stdout."""
    with socket.create_server(("127.0.0.1", port)) as server:
        os.write(1, b".")
        while True:
            client, _ = server.accept()
            try:
                with client, client.makefile("rwb", buffering=0) as stream:
                    while stream.readline().strip():
                        pass
                    stream.write(b"HTTP/1.0 200 OK\r\n\r\n")
                    send(clip, stream)
            except OSError:  # the client went away
                continue


def send(clip: Path, stream: Any) -> None:
    """All of its packets, later and later in time, until nobody reads them."""
    began, sent = time.monotonic(), 0
    with av.open(stream, "w", "nut", options={"flush_packets": "1"}) as out, av.open(str(clip)) as first:
        video = out.add_stream_from_template(first.streams.video[0])
        while True:
            with av.open(str(clip)) as container:
                for packet in container.demux(video=0):
                    if packet.dts is None:
                        continue
                    time.sleep(max(0.0, began + sent / FPS - time.monotonic()))
                    packet.stream, packet.time_base = video, Fraction(1, FPS)
                    packet.pts = packet.dts = sent
                    out.mux(packet)
                    os.write(1, b"I" if packet.is_keyframe else b"P")
                    sent += 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--feed"]:
        feed(Path(sys.argv[2]), int(sys.argv[3]))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if a shell started this in the background
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=180.0, help="length of the session whose source is killed")
    options.add_argument("--kills", type=int, default=3)
    options.add_argument("--gops", type=int, default=30, help="GOPs of each turn of the comparison")
    chosen = options.parse_args()
    print(conditions(load=chosen.load))
    main(chosen.seconds, chosen.kills, chosen.gops)
