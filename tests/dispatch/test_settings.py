"""The user's settings: the file, the environment over it, and what is wrong with either."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from wasmoci.dispatch import settings_file
from wasmoci.dispatch.settings import DEFAULT_ENGINES, Settings
from wasmoci.errors import InvalidConfiguration
from wasmoci.oci.classification import Detection

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE = """
# what this machine is for
engines = ["wasm3", "mine"]
detection = "content"
native_runtime = "/opt/bin/runc"
compile_timeout = 5
compile_memory = "256Mi"
"""


@pytest.fixture(autouse=True)
def no_system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without settings; gives where the system's file would be."""
    file = tmp_path / "etc" / "config.toml"
    monkeypatch.setattr(settings_file, "SYSTEM_FILE", str(file))
    return file


def write(file: Path, text: str | bytes = COMPLETE) -> Path:
    """Write a file, and the directories on its way."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_nothing_is_needed(tmp_path: Path) -> None:
    """Without a file and without variables the defaults hold."""
    assert Settings.load({"HOME": str(tmp_path)}) == Settings(
        engine=None, engines=DEFAULT_ENGINES, detection=Detection.ANNOTATIONS, native_runtime=None, source=None
    )
    assert DEFAULT_ENGINES == ("wasmtime", "wasmer", "wasm3")
    assert Settings.load({}) == Settings()


def test_file_is_read(tmp_path: Path) -> None:
    """Every setting of the file holds."""
    file = write(tmp_path / "mine.toml")
    assert Settings.load({"WASMOCI_CONFIG": str(file)}) == Settings(
        engines=("wasm3", "mine"),
        detection=Detection.CONTENT,
        native_runtime="/opt/bin/runc",
        compile_timeout=5.0,
        compile_memory=256 << 20,
        source=file,
    )


def test_file_that_is_found(tmp_path: Path, no_system_file: Path) -> None:
    """The named file comes before the user's own, which comes before the system's."""
    environment = {"HOME": str(tmp_path / "home")}
    places = [
        (write(no_system_file), {}),
        (write(tmp_path / "home" / ".config" / "wasmoci" / "config.toml"), {}),
        (write(tmp_path / "xdg" / "wasmoci" / "config.toml"), {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}),
        (write(tmp_path / "named"), {"WASMOCI_CONFIG": str(tmp_path / "named")}),
    ]
    found = []
    for _, variables in places[1:]:
        environment |= variables
        found.append(Settings.load(environment).source)
    assert found == [file for file, _ in places[1:]]
    assert Settings.load({"HOME": str(tmp_path / "nobody")}).source == no_system_file


def test_environment_is_over_the_file(tmp_path: Path) -> None:
    """A variable says more than the file, and an empty one says nothing."""
    variables = {"WASMOCI_CONFIG": str(write(tmp_path / "c"))}
    named = Settings.load({**variables, "WASMOCI_ENGINE": "wasmer", "WASMOCI_NATIVE_RUNTIME": "youki"})
    assert (named.engine, named.native_runtime, named.engines) == ("wasmer", "youki", ("wasm3", "mine"))
    empty = Settings.load({**variables, "WASMOCI_ENGINE": "", "WASMOCI_NATIVE_RUNTIME": ""})
    assert (empty.engine, empty.native_runtime) == (None, "/opt/bin/runc")


BOUNDS = [
    ("2.5", "64Mi", 2.5, 64 << 20),
    ("0", "0", None, None),
    ("none", "none", None, None),
    ("", "", 5.0, 256 << 20),
    ("90", "1000", 90.0, 1000),
    ("1e1", "2GB", 10.0, 2 * 10**9),
]


@pytest.mark.parametrize(("time", "memory", "seconds", "size"), BOUNDS)
def test_bounds(tmp_path: Path, time: str, memory: str, seconds: float | None, size: int | None) -> None:
    """What compiling may use is set by variables, over the file."""
    variables = {"WASMOCI_CONFIG": str(write(tmp_path / "c"))}
    settings = Settings.load({**variables, "WASMOCI_COMPILE_TIMEOUT": time, "WASMOCI_COMPILE_MEMORY": memory})
    assert (settings.bounds.time, settings.bounds.memory) == (seconds, size)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WASMOCI_COMPILE_TIMEOUT", "soon"),
        ("WASMOCI_COMPILE_TIMEOUT", "-1"),
        ("WASMOCI_COMPILE_TIMEOUT", "inf"),
        ("WASMOCI_COMPILE_MEMORY", "much"),
        ("WASMOCI_COMPILE_MEMORY", "1.5G"),
    ],
)
def test_wrong_bounds(variable: str, value: str) -> None:
    """A limit that can't be read is an error, and not no limit."""
    with pytest.raises(InvalidConfiguration, match=f"{variable}: found '{value}'"):
        Settings.load({variable: value})


def test_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a mapping this process's own variables count."""
    monkeypatch.setenv("WASMOCI_CONFIG", str(write(tmp_path / "c", "")))
    monkeypatch.setenv("WASMOCI_ENGINE", "wasm3")
    assert Settings.load() == Settings(engine="wasm3", source=tmp_path / "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("engines = [", "not TOML: "),
        ("engines = 1\nengines = 2", "not TOML: "),
        (b"x = '\xff'", "not TOML: "),
        (
            "engine = 'wasm3'",
            "engine: no such setting; engines, detection, native_runtime, compile_timeout or compile_memory was expected",
        ),
        ("[engines]", "engines: found {}; a list of engines' names was expected"),
        ("engines = 'wasm3'", "engines: found 'wasm3'; a list of engines' names was expected"),
        ("engines = []", "engines: found []; a list of engines' names was expected"),
        ("engines = ['a', 1]", "engines: found ['a', 1]; a list of engines' names was expected"),
        ("engines = ['']", "engines: found ['']; a list of engines' names was expected"),
        ("detection = 'guess'", "detection: found 'guess'; 'annotations' or 'content' was expected"),
        ("detection = true", "detection: found True; 'annotations' or 'content' was expected"),
        ("detection = ['content']", "detection: found ['content']; 'annotations' or 'content' was expected"),
        ("native_runtime = 3", "native_runtime: found 3; a name or a path was expected"),
        ("native_runtime = ''", "native_runtime: found ''; a name or a path was expected"),
        ("compile_timeout = true", "compile_timeout: found True; a number of seconds, or 'none' was expected"),
        ("compile_timeout = -1", "compile_timeout: found -1; a number of seconds, or 'none' was expected"),
        ("compile_timeout = nan", "compile_timeout: found nan; a number of seconds, or 'none' was expected"),
        ("compile_timeout = []", "compile_timeout: found []; a number of seconds, or 'none' was expected"),
        ("compile_memory = -1", "compile_memory: found -1; bytes, a number with a unit as in 500M or 4Gi"),
        ("compile_memory = '4Ki4'", "compile_memory: found '4Ki4'; bytes, a number with a unit as in 500M or 4Gi"),
        ("compile_memory = 1.5", "compile_memory: found 1.5; bytes, a number with a unit as in 500M or 4Gi"),
    ],
)
def test_wrong_file(tmp_path: Path, text: str | bytes, message: str) -> None:
    """The error names the file, the setting, what is there and what should be."""
    file = write(tmp_path / "c.toml", text)
    with pytest.raises(InvalidConfiguration) as caught:
        Settings.load({"WASMOCI_CONFIG": str(file)})
    assert caught.value.message.startswith(f"{file}: {message}")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing", "No such file or directory"),
        ("directory", "Is a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_named_file_has_to_be_there(tmp_path: Path, name: str, problem: str) -> None:
    """A file that was asked for by name isn't passed over."""
    (tmp_path / "directory").mkdir()
    with pytest.raises(InvalidConfiguration) as caught:
        Settings.load({"WASMOCI_CONFIG": str(tmp_path / name)})
    assert caught.value.message == f"{tmp_path / name}: can't be read: {problem}"


def test_file_may_be_a_pipe(tmp_path: Path) -> None:
    """A shell's process substitution names a file that can be read but once."""
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w", encoding="utf-8") as file:
        file.write(COMPLETE)
    try:
        assert Settings.load({"WASMOCI_CONFIG": f"/dev/fd/{ours}", "HOME": str(tmp_path)}).engines == ("wasm3", "mine")
    finally:
        os.close(ours)
