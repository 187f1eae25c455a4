"""An HTTP server of the files of a folder on loopback: whole, as Python's own sends them, or in parts (Range)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Whole(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        try:
            super().copyfile(source, outputfile)
        except ConnectionError:  # the reader has enough
            self.close_connection = True


class _Parts(_Whole):
    def do_GET(self) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        start = int(re.sub(r"\D", "", self.headers.get("Range", "0").partition("-")[0]))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        try:
            self.wfile.write(content[start:])
        except ConnectionError:
            self.close_connection = True


@contextmanager
def files_served(folder: Path, *, parts: bool = False) -> Iterator[str]:
    """The address of a folder, for the time of the block."""
    handler = partial(_Parts if parts else _Whole, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
