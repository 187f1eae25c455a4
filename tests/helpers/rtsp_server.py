"""A small RTSP server on loopback: one video, to one client after the other, as RTP interleaved in the TCP connection.

It answers what a player asks: OPTIONS, DESCRIBE, SETUP, PLAY (RFC 2326). PyAV's RTP muxer makes the packets.
"""

from __future__ import annotations

import io
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

PACKET_BYTES = 1400
RTCP = range(192, 224)
"""The second byte of RTCP packets, which go to the channel after that of RTP."""


class _Interleaved(io.RawIOBase):
    """What the RTP muxer writes: each packet is framed with its channel and length."""

    def __init__(self, out: io.BufferedIOBase) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, packet: bytes) -> int:  # type: ignore[override]
        self._out.write(struct.pack("!cBH", b"$", packet[1] in RTCP, len(packet)) + packet)
        return len(packet)


class _Client(socketserver.StreamRequestHandler):
    server: RtspServer

    def handle(self) -> None:
        self.server.connections += 1
        while request := self._request():
            method, sequence = request
            head = "Session: 1\r\n"
            body = ""
            if method == "OPTIONS":
                head = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            elif method == "DESCRIBE":
                body = self.server.description
                head = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP" and "interleaved" not in self._transport:
                self._answer(sequence, "461 Unsupported Transport")
                continue
            elif method == "SETUP":
                head += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            self._answer(sequence, "200 OK", head, body)
            if method == "PLAY":
                self.server.play(self.wfile)
                return

    def _request(self) -> tuple[str, str] | None:
        first = self.rfile.readline().decode()
        fields = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        self._transport = fields.get("transport", "")
        return (first.split()[0], fields.get("cseq", "0")) if first else None

    def _answer(self, sequence: str, status: str, head: str = "", body: str = "") -> None:
        self.wfile.write(f"RTSP/1.0 {status}\r\nCSeq: {sequence}\r\n{head}\r\n{body}".encode())


class RtspServer(socketserver.ThreadingTCPServer):
    """Plays an MPEG-4 clip to whoever asks, as fast as it is taken, and closes the connection at its end.

    Attributes:
        connections: How many clients came.
    """

    allow_reuse_address, daemon_threads = True, True

    def __init__(self, clip: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Client)
        self._clip, self.connections = clip, 0
        with av.open(str(clip)) as container:
            config = (container.streams.video[0].codec_context.extradata or b"").hex()
        self.description = (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=clip\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            f"a=rtpmap:96 MP4V-ES/90000\r\na=fmtp:96 profile-level-id=1;config={config}\r\na=control:video\r\n"
        )

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.server_address[1]}/clip"

    def play(self, out: io.BufferedIOBase) -> None:
        options = {"packetsize": str(PACKET_BYTES), "rtpflags": "skip_rtcp"}
        with av.open(str(self._clip)) as clip, av.open(_Interleaved(out), "w", "rtp", options=options) as rtp:
            stream = rtp.add_stream_from_template(clip.streams.video[0])
            for packet in clip.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    rtp.mux(packet)


@contextmanager
def serving(clip: Path) -> Iterator[RtspServer]:
    """A server of a clip while this lasts."""
    with RtspServer(clip) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
