"""How commands end: one line and an exit code, whatever is raised, wherever it comes from, and whoever listens."""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import pytest
import torch
from helpers.foreign_model import gestures

from hybridnet.cli import main
from hybridnet.cli.console import StdoutError
from hybridnet.cli.endings import Ended, signals_as_interrupts
from hybridnet.errors import BackendError, ModelError
from hybridnet.simulators.lava.compat import import_lava, lava_is_installed
from hybridnet.support import signals
from hybridnet.support.optional import PACKAGES, optional

REPOSITORY = Path(__file__).parents[2]
RUN = [sys.executable, "-c", "import sys; from hybridnet.cli import main; sys.exit(main())"]

ENDINGS = {
    "ours": (ModelError("bad \x1b[31m\nhybridnet: fine"), 1, r"error: bad \x1b[31m\nhybridnet: fine"),
    "memory": (MemoryError(), 1, "error: memory ran out. Give less"),
    "ffmpeg's memory": (av.error.MemoryError(12, "Cannot allocate memory"), 1, "error: memory ran out"),
    "torch's memory": (
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        1,
        "error: memory ran out (",
    ),
    "oneDNN's memory": (RuntimeError("could not create a primitive"), 1, "error: memory ran out (RuntimeError: could"),
    "memory for a thread": (RuntimeError("can't start new thread"), 1, "error: memory ran out ("),
    "memory for a process": (OSError(12, "Cannot allocate memory"), 1, "error: memory ran out ("),
    "another error of torch": (RuntimeError("mat1 and mat2"), 70, "error: not foreseen: RuntimeError: mat1"),
    "recursion": (RecursionError(), 1, "error: something that was read is nested too deeply"),
    "import": (ImportError("libx.so: cannot open"), 1, "error: a package does not import: ImportError: libx.so"),
    "disk": (OSError(28, "No space left on device", "a\nb"), 1, "error: OSError: [Errno 28] No space left"),
    "a pipe that is not stdout": (BrokenPipeError(32, "Broken pipe"), 1, "error: BrokenPipeError: [Errno 32]"),
    "exit 0": (SystemExit(0), 1, "error: something was run that should not end hybridnet: it called sys.exit(0)"),
    "unforeseen": (KeyError("layer\u202e"), 70, r"error: not foreseen: KeyError: 'layer\u202e'. --debug shows where"),
    "interrupt": (KeyboardInterrupt(), 130, "interrupted"),
    "SIGTERM": (Ended(15), 143, "terminated"),
    "SIGHUP": (Ended(1), 129, "hung up"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_exception_is_one_line_and_an_exit_code(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error, code, line = ENDINGS[name]

    def run(_: object) -> int:
        raise error

    monkeypatch.setattr("hybridnet.cli.doctor.run", run)
    assert main(["doctor"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"hybridnet: {line}")
    assert captured.err.count("\n") == 1
    assert captured.err[:-1].isprintable()
    if code == 70:
        with pytest.raises(type(error)):
            main(["doctor", "--debug"])


def test_a_reader_of_stdout_that_went_away_is_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> int:
        raise StdoutError from BrokenPipeError()

    monkeypatch.setattr("hybridnet.cli.doctor.run", run)
    assert main(["doctor"]) == 141
    assert capsys.readouterr() == ("", "")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    words = ["bash", "-c", command, *RUN]
    return subprocess.run(words, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ('"$0" "$@" audit >&-', 1, "", "hybridnet: error: the result cannot be written to stdout"),
        ('"$0" "$@" --help >/dev/full', 1, "", "hybridnet: error: the result cannot be written to stdout"),
        ('"$0" "$@" report nowhere 2>&-', 1, "", ""),
        ('"$0" "$@" audit 2>/dev/full | tail -n 1', 0, "--full has the rest.", ""),
        ('( sleep 0.2; "$0" "$@" audit; echo $? >&2 ) | true', 0, "", "141"),
    ],
    ids=["closed stdout", "full stdout", "closed stderr", "full stderr", "broken pipe"],
)
def test_streams_that_are_closed_or_full(command: str, code: int, out: str, err: str) -> None:
    done = shell(command)
    assert done.returncode == code
    assert done.stdout.startswith(out)
    assert done.stderr.startswith(err)
    assert done.stderr.count("\n") == bool(err)


MODULES = {
    "exits at import": ("import sys; sys.exit(7)", "it called sys.exit(7)"),
    "exits as if done": ("def make():\n    raise SystemExit(0)", "it called sys.exit(0)"),
    "forges a line": (
        "def make():\n    raise ValueError('a\\nhybridnet: done \\x1b[2J')", r"ValueError: a hybridnet: done \x1b"),
    "raises what cannot be told": (
        "class E(Exception):\n    def __str__(self):\n        raise E\ndef make():\n    raise E",
        "cannot be built (E)",
    ),
    "makes no module": ("def make():\n    return 3", "returns a int"),
    "is no Python": ("def make(", "SyntaxError"),
    "has no factory": ("", "there is no make in "),
    "exits in forward": (
        "from torch import nn, zeros\nclass Make(nn.Module):\n    example_inputs = {'x': zeros(1, 2, 3, 4, 4)}\n"
        "    def forward(self, x):\n        raise SystemExit(0)\nmake = Make", "it called sys.exit(0)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_a_user_that_fails(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = MODULES[name]
    module = f"users_{name.replace(' ', '_')}"
    (tmp_path / f"{module}.py").write_text("print('noise')\n" + code)
    torch.save({}, tmp_path / "weights.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert main(["export", "weights.pt", "--model", f"{module}:make", "-o", "b", "--json", "-"]) == 1
    captured = capsys.readouterr()
    errors = captured.err.removeprefix("noise\n").removeprefix("hybridnet: reading the model …\n")
    assert errors.startswith("hybridnet: error: ")
    assert said in errors
    assert errors.count("\n") == 1
    assert captured.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{module}.py", "weights.pt"]


@pytest.mark.slow
def test_what_a_module_of_a_user_prints_does_not_reach_stdout(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(
        "import os\nfrom helpers import foreign_model\nprint('noise')\nos.system('echo more noise')\n"
        "def make():\n    model = foreign_model.gestures()\n    model.example_inputs = foreign_model.example()\n"
        "    model.register_forward_pre_hook(lambda *_: print('noise at work'))\n    return model\n"
    )
    torch.save(gestures().state_dict(), tmp_path / "weights.pt")
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"}
    words = [*RUN, "inspect", "weights.pt", "--model", "noisy:make", "--json", "-"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["model"] == "noisy:make"
    assert "noise" in done.stderr
    assert "more noise" in done.stderr


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All optional packages are there and raise on import."""
    for module in (*PACKAGES, "lava"):
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text("raise RuntimeError('of an older NumPy\\n\\x1b[2J')")
        for loaded in [name for name in sys.modules if name.partition(".")[0] == module]:
            monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("broken")
def test_a_package_that_does_not_import_is_one_line() -> None:
    for module in PACKAGES:
        with pytest.raises(BackendError, match=r"is there but does not import: RuntimeError: of an older NumPy"):
            optional(module)
    assert lava_is_installed()
    with pytest.raises(BackendError, match=r"Lava is there but does not import: RuntimeError: of an older NumPy"):
        import_lava.__wrapped__()


@pytest.mark.usefixtures("broken")
def test_doctor_tells_of_packages_that_do_not_import(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hybridnet.simulators.registry.SPIKING", {})
    monkeypatch.setattr("hybridnet.simulators.registry.ANN_ENTRIES", {})
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.split("\n")
    tried = [line for line in lines if line.startswith("package ")]
    for package, line in zip(PACKAGES.values(), tried, strict=True):
        assert f"  {package.name} is there but does not import" in line
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_until_a_module_is_imported(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, begun = f"sends_{number.name}", time.monotonic()
    (tmp_path / f"{name}.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\nWHOLE = True\n")
    monkeypatch.syspath_prepend(tmp_path)

    def work() -> None:
        importlib.import_module(name)
        time.sleep(60)

    with pytest.raises(Ended) as ended, signals_as_interrupts():
        work()
    assert ended.value.number == number
    assert sys.modules[name].WHOLE
    assert time.monotonic() - begun < 30


def test_a_module_that_never_ends_its_import_can_be_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "WAIT_S", 0.1)
    (tmp_path / "endless.py").write_text("import os, time\nos.kill(os.getpid(), 15)\ntime.sleep(60)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Ended), signals_as_interrupts():
        importlib.import_module("endless")


class Goes:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)


def test_a_signal_while_an_object_goes_is_not_lost() -> None:
    def work() -> None:
        Goes()
        time.sleep(60)

    with pytest.raises(Ended), signals_as_interrupts():
        work()


def test_a_signal_leaves_no_file_of_tempfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(path: str, *rest: int) -> int:
        file = os_open(path, *rest)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        return file

    os_open = os.open
    monkeypatch.setattr("tempfile._os.open", opened)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def work() -> None:
        tempfile.gettempdir()  # which tries a folder by a file
        time.sleep(60)

    with pytest.raises(Ended), signals_as_interrupts():
        work()
    assert [*tmp_path.iterdir()] == []


def test_a_signal_while_llvm_calls_back_is_not_lost() -> None:
    llvm = importlib.import_module("llvmlite.binding")
    importlib.import_module("numba")  # which sets LLVM up

    def notified(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)

    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly("define i32 @one() { ret i32 1 }"), machine)
    engine.set_object_cache(notified, None)

    def work() -> None:
        engine.finalize_object()
        time.sleep(60)

    with pytest.raises(Ended), signals_as_interrupts():
        work()
