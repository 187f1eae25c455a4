"""Live sources end to end: a pipe, a growing file, a server that goes away and comes back, and a machine too slow."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import os
import sys
import threading
import time
from _thread import interrupt_main
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.file_server import files_served
from helpers.rtsp_server import serving

from hybridnet.cli import main
from hybridnet.errors import ConfigError, ModelError, VideoError
from hybridnet.report.pricing.price import load_prices, reprice
from hybridnet.report.record.file import read_records
from hybridnet.report.record.pictures import SheetKind
from hybridnet.report.render.formats import rendered
from hybridnet.support.ahead import newest
from hybridnet.video import make_clip
from hybridnet.workflows import watch
from hybridnet.workflows.options import SimulateOptions, WatchOptions
from hybridnet.workflows.session import shown
from hybridnet.workflows.simulate import Simulator, shipped_bundle_path
from hybridnet.workflows.watch import Watcher

TINY_MOTION = shipped_bundle_path("tiny-motion")

ONE_THREAD = {"threads": 1}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("live") / "clip.avi", "pan_left", 3, frames=48)


def options(**more: Any) -> WatchOptions:
    given: dict[str, Any] = {"settings": ONE_THREAD, "policy": "queue", "idle_s": 0.2}
    return WatchOptions(**given | more)


@pytest.fixture(scope="module")
def expected(clip: Path) -> tuple[list[str], list[float]]:
    """Class and energy of each GOP, as `simulate` has them."""
    simulator = Simulator(TINY_MOTION, SimulateOptions(settings=ONE_THREAD, views=4, parity=False))
    run = simulator.run(clip)
    labels = simulator.bundle.manifest.labels or ()
    energy = run.record.totals.energy_pj
    assert energy is not None
    return [labels[int(row.argmax())] for row in run.run.logits], [energy.reference]


@pytest.mark.parametrize("snn", [None, "emulator"])
def test_a_growing_file_gives_what_simulate_gives(
    clip: Path, expected: tuple[list[str], list[float]], snn: str | None
) -> None:
    watcher = Watcher(TINY_MOTION, options(snn=snn))
    rows = list(watcher.watch(clip))
    assert [row.label for row in rows] == expected[0]
    assert [row.gop for row in rows] == [0, 1, 2, 3]
    assert sum(row.energy_pj or 0 for row in rows) == pytest.approx(expected[1][0], rel=1e-9)
    assert all(row.latency_ms > 0 for row in rows)
    assert (watcher.summary.gops, watcher.summary.dropped, watcher.summary.connections) == (4, 0, 1)


def test_a_pipe_on_the_command_line(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(clip.read_bytes())

    threading.Thread(target=write).start()
    told = tmp_path / "told"
    command = f"{sys.executable} -c \"import os; open({str(told)!r}, 'a').write(os.environ['HYBRIDNET_CLASS'])\""
    with os.fdopen(reading, "rb") as pipe:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(pipe))
        typed = ["watch", "-", "--bundle", str(TINY_MOTION), "--threads", "1", "--json", "--policy", "queue",
                 "--smooth", "4", "--on-class", "pan_left", "--exec", command,
                 "--record", str(tmp_path / "s.json")]  # fmt: skip
        assert main(typed) == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["gop"] for line in lines[:-1]] == [0, 1, 2, 3]
    assert lines[-1]["summary"]["gops"] == 4
    assert lines[-1]["summary"]["p90_ms"] > 0
    assert f"hybridnet report {tmp_path / 's.json'} --format html -o {tmp_path / 's.html'}" in err
    (record,) = read_records(tmp_path / "s.json")
    assert (record.source, record.command.partition(" --")[0]) == ("stdin", "hybridnet watch -")
    assert record.session is not None
    assert [dataclasses.asdict(row) for row in record.session.rows] == lines[:-1]
    until = time.monotonic() + 60
    while not told.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert told.read_text().startswith("pan_left")


def test_the_record_of_a_session_is_that_of_its_last_gop(clip: Path) -> None:
    watcher = Watcher(TINY_MOTION, options(keep_last=True))
    assert watcher.record() is None
    rows = list(watcher.watch(clip))
    record = watcher.record("made by")
    assert record is not None
    assert record.session is not None
    assert record.pictures is not None
    assert (record.command, record.source, record.views) == ("made by", str(clip), 1)
    assert (record.session.gops, record.session.classes, record.session.rows) == (4, {"pan_left": 4}, tuple(rows))
    assert record.totals.energy_pj.reference == rows[-1].energy_pj
    assert (record.partition("snn").backend, record.partition("frontend").backend) == ("onnxruntime", "pyav")
    assert [sheet.kind for sheet in record.pictures.sheets[:2]] == [SheetKind.FRAME, SheetKind.MOTION]
    page = rendered([record], "html")
    assert "the last of 4 GOPs" in page
    assert "GOPs of the session" in page
    assert "hybridnet watch SOURCE --ann" in page
    again = reprice(record, load_prices("loihi2", None)).session
    assert again is not None
    assert [row.energy_pj for row in again.rows] == [None] * 4


def test_a_record_names_an_address_without_what_may_be_secret() -> None:
    assert shown("rtsp://me:secret@camera:8554/live?token=secret#part") == "rtsp://camera:8554/live"
    assert (shown("-"), shown("clip.mkv"), shown(io.BytesIO())) == ("stdin", "clip.mkv", "live")


def test_a_server_that_goes_away_is_opened_again(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FIRST_WAIT_S", 0.05)
    asked = []

    class Serve(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(clip.read_bytes())

        def log_message(self, *_: object) -> None:
            pass

    said: list[str] = []
    with HTTPServer(("127.0.0.1", 0), Serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        watcher = Watcher(TINY_MOTION, options(), say=said.append)
        rows = list(itertools.islice(watcher.watch(f"http://127.0.0.1:{server.server_port}/live.avi"), 9))
        server.shutdown()
    assert [row.gop for row in rows] == [*range(9)]
    assert watcher.summary.connections == 3
    assert any("opening it again" in line for line in said)


def test_an_address_without_a_frame_is_an_error(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was taken for a lost source, and opened again for ever."""
    (tmp_path / "head.avi").write_bytes(clip.read_bytes()[: clip.read_bytes().index(b"movi") + 4])
    with files_served(tmp_path) as address:
        assert main(["watch", f"{address}/head.avi", "--bundle", str(TINY_MOTION), "--threads", "1"]) == 1
    out, err = capsys.readouterr()
    assert out == ""  # and no summary of zeros
    assert "head.avi: ended, and not one frame of it could be read" in err


def test_what_cannot_be_watched_or_written_is_refused_before_anything_is_loaded(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch, "Watcher", None)
    (tmp_path / "clips.csv").write_text("clip,class\n")
    for typed, told in (
        (["nofile.avi"], "does not exist"),
        ([str(tmp_path)], "is a folder"),
        ([str(clip), "--record", str(tmp_path / "clips.csv")], "holds text, and json is to be written"),
        ([str(clip), "--record", "/proc/x.json"], "'/proc/x.json'"),
    ):
        assert main(["watch", *typed]) == 1
        out, err = capsys.readouterr()
        assert (out, "loading" in err, told in err) == ("", False, True)


def test_a_camera_that_speaks_rtsp(
    clip: Path, expected: tuple[list[str], list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FIRST_WAIT_S", 0.05)
    with serving(clip) as server:
        watcher = Watcher(TINY_MOTION, options())
        rows = list(itertools.islice(watcher.watch(server.url), 8))
        assert server.connections >= 2  # it ends after each playing, and is opened again
    assert [row.label for row in rows] == expected[0] * 2
    assert watcher.summary.connections == 2
    assert watcher.summary.unused_frames == 0


def test_nothing_is_opened_again_once_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was, without a pause, for as long as the thread that reads got to end."""
    told, lost = list[str](), threading.Event()

    def say(text: str) -> None:
        told.append(text)
        lost.set()

    def gone(*_: object, **__: object) -> None:
        watcher.summary.frames = 1
        raise VideoError("is gone", where="camera")

    monkeypatch.setattr(watch, "open_live", gone)
    watcher = Watcher(TINY_MOTION, options(policy="drop"), say=say)
    rows = watcher.watch("rtsp://127.0.0.1:1/clip")

    def interrupt() -> None:
        lost.wait(60)
        interrupt_main()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        next(iter(rows))
    assert len(told) == 1


def test_a_machine_that_is_too_slow_drops_all_but_the_newest() -> None:
    there = threading.Event()

    def items() -> Any:
        for n in range(10):
            if n == 1:
                there.wait(60)
            yield n
        there.clear()

    got = []
    for item, left_out in newest(items()):
        got.append((item, left_out))
        there.set()
        while item == 0 and there.is_set():  # slow: until all the others came
            time.sleep(0.01)
    assert got == [(0, 0), (9, 8)]


def test_what_cannot_be_watched_is_refused(clip: Path) -> None:
    with pytest.raises(ConfigError, match="on-class"):
        options(on_class="pan_left")
    with pytest.raises(ConfigError, match="fixed point"):
        Watcher(TINY_MOTION, options(snn="torch"))
    with pytest.raises(ConfigError, match="pan_left"):
        Watcher(TINY_MOTION, options(on_class="nothing", exec_command="true"))
    with pytest.raises(ConfigError, match="1 or more"):
        options(smooth=0)


def test_scores_are_averaged_over_the_last_gops(clip: Path) -> None:
    alone = [row.score for row in Watcher(TINY_MOTION, options()).watch(clip)]
    smooth = [row.score for row in Watcher(TINY_MOTION, options(smooth=2)).watch(clip)]
    assert smooth[0] == pytest.approx(alone[0])
    labels = {row.label for row in Watcher(TINY_MOTION, options()).watch(clip)}
    if len(labels) == 1:
        assert smooth[1:] == pytest.approx([float(np.mean(pair)) for pair in itertools.pairwise(alone)])


def test_a_model_without_classes_has_nothing_to_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from hybridnet.workflows.simulate import load

    bundle = load(TINY_MOTION)
    unnamed = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, labels=None))
    with pytest.raises(ModelError, match="no classes"):
        Watcher(unnamed, options())


def test_what_has_no_price_is_not_free(clip: Path) -> None:
    rows = list(Watcher(TINY_MOTION, options(profile="loihi2")).watch(clip))
    assert [row.energy_pj for row in rows] == [None] * 4
