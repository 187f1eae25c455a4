# mypy: disable-error-code="arg-type,union-attr"
"""The command line as users meet it: exit codes, one line per error, nothing half-written."""

import json
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.places import ROOT

from hybridnet.cli import COMMANDS, build_parser, main
from hybridnet.deploy.bundle_parts import Bundle

HYBRIDNET = str(Path(sys.executable).with_name("hybridnet"))


def write_video(path: Path, codec: str, frames: int, **options: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for n in range(frames):
            picture = np.full((48, 64, 3), n, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "notes.txt").write_text("not a video\n" * 100)
    return folder / "notes.txt"


def png(folder: Path) -> Path:
    write_video(folder / "picture.mkv", "mjpeg", 1)
    with av.open(str(folder / "picture.png"), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return folder / "picture.png"


def audio(folder: Path) -> Path:
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    return folder / "sound.wav"


def no_p_frames(folder: Path) -> Path:
    write_video(folder / "intra.avi", "mjpeg", 24)
    return folder / "intra.avi"


def hevc(folder: Path) -> Path:
    if "libx265" not in av.codecs_available:
        pytest.skip("this PyAV cannot write HEVC")
    write_video(folder / "hevc.mp4", "libx265", 24)
    return folder / "hevc.mp4"


@pytest.mark.parametrize("make", [missing, empty, text, png, audio, no_p_frames, hevc])
def test_a_bad_video_is_one_line_and_exit_1(
    make: Callable[[Path], Path], bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make(tmp_path)
    code = main(["simulate", str(video), "--bundle", str(bundle.path), "--json", str(tmp_path / "run.json")])
    assert_one_error(code, capsys, video.name)
    assert not (tmp_path / "run.json").exists()


def assert_one_error(code: int, capsys: pytest.CaptureFixture[str], mentions: str) -> None:
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if "error" in line]
    assert code == 1
    assert len(errors) == 1
    assert errors[0].startswith("hybridnet: error: ")
    assert mentions in errors[0]
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_bad_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.pt").write_bytes(b"not ours")
    assert_one_error(main(["export", str(tmp_path / "x.pt"), "-o", str(tmp_path / "out")]), capsys, "x.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]


def test_a_bundle_with_a_flipped_byte(
    bundle: Bundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / "copy"))
    content = bytearray((copy / "ann.onnx").read_bytes())
    content[1000] ^= 1
    (copy / "ann.onnx").write_bytes(content)
    assert_one_error(main(["simulate", str(clip), "--bundle", str(copy)]), capsys, "ann.onnx")


def test_a_bundle_that_is_nowhere(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_error(main(["simulate", str(clip), "--bundle", str(tmp_path / "nowhere")]), capsys, "nowhere")


def test_an_output_folder_that_exists(
    checkpoint_path: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(checkpoint_path), "-o", str(tmp_path), "--calibrate", str(clip)]
    assert_one_error(main(arguments), capsys, "--overwrite")
    assert list(tmp_path.iterdir()) == []


def test_other_user_errors(clip: Path, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate = ["simulate", str(clip), "--bundle", str(bundle.path)]
    assert_one_error(main([*simulate, "--views", "0"]), capsys, "views")
    assert_one_error(main([*simulate, "--top-k", "0"]), capsys, "top_k")
    assert_one_error(main([*simulate, "--profile", "nowhere"]), capsys, "nowhere")
    assert_one_error(main(["report", str(tmp_path / "none.json")]), capsys, "none.json")
    assert_one_error(main(["train", "--config", "nothing", "-o", str(tmp_path / "run")]), capsys, "nothing")
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x\.mp4"):
        main(["simulate", "x.mp4", "--bundle", str(tmp_path / "nowhere"), "--debug"])


def test_wrong_usage_exits_2() -> None:
    for arguments in ([], ["simulate"], ["frobnicate"], ["simulate", "x.mp4", "--snn", "quantum"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2


def test_simulate_then_report(bundle: Bundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run.json"
    assert main(["simulate", str(clip), "--bundle", str(bundle.path), "--json", str(run), "--views", "2"]) == 0
    printed = capsys.readouterr().out
    record = json.loads(run.read_text())
    assert record["video"]["views"] == 2
    assert record["command"].startswith("hybridnet simulate")
    assert record["prediction"]["top_k"][0]["label"] in printed
    assert main(["report", str(run), "--full"]) == 0
    assert "transformer.blocks.0.mlp.0/MatMul" in capsys.readouterr().out
    assert main(["report", str(run), "--format", "json", "-o", str(tmp_path / "again.json")]) == 0
    assert json.loads((tmp_path / "again.json").read_text()) == record


def test_json_on_stdout_is_nothing_but_json(bundle: Bundle, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(clip), str(clip), "--bundle", str(bundle.path), "--json", "-"]) == 0
    *lines, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [line["file"] for line in lines] == [str(clip)] * 2
    assert last["summary"]["clips"] == 2


def test_export_prints_what_it_wrote(
    checkpoint_path: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(checkpoint_path), "-o", str(tmp_path / "b"), "--calibrate", str(clip), "--full"]) == 0
    printed = capsys.readouterr().out
    for word in ("mv.0", "Bridge", "model → cut model", "SQNR", "hybridnet simulate"):
        assert word in printed


def test_every_command_has_help_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    for command, summary in COMMANDS.items():
        with pytest.raises(SystemExit) as stop:
            build_parser().parse_args([command, "--help"])
        assert stop.value.code == 0
        assert summary[1:30] in " ".join(capsys.readouterr().out.split())


def test_a_closed_pipe_is_no_error(bundle: Bundle, clip: Path) -> None:
    command = f"{HYBRIDNET} simulate {clip} --bundle {bundle.path} | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_the_example_runs(checkpoint_path: Path, clip: Path, tmp_path: Path) -> None:
    script = ROOT / "examples" / "classify_clip.py"
    done = subprocess.run(
        [sys.executable, str(script), str(checkpoint_path), str(clip), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "busiest spiking layer" in done.stdout
    assert "mv_1_u: (3, 6, 20, 20)" in done.stdout
