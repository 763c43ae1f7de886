"""Absolute and relative paths of programs in C that start elsewhere than in ``/``, on every engine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from tests.conftest import usable
from tests.support.guests import SOURCES, TOOLCHAINS, assembled, compile_c
from wasmoci.limits import Limits
from wasmoci.oci.bundle import Bundle
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wasmoci.handlers.base import BaseHandler

NAMES = ("state", "old", "same")


@pytest.fixture(scope="module", params=["wasmtime", "wasmer", "wasm3"])
def handler(request: pytest.FixtureRequest) -> BaseHandler:
    """Each of the handlers."""
    usable(request.param)
    module = importlib.import_module(f"wasmoci.handlers.{request.param}")
    made: BaseHandler = getattr(module, f"{request.param.capitalize()}Handler")()
    return made


@pytest.fixture(params=[(), ("-DCHDIR",), ("-DCHDIR", "-Wl,--strip-all")], ids=["plain", "chdir", "stripped"])
def program(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Compiles the program: its C library knows of no working directory, or of one, or has lost its symbols as well."""
    return lambda toolchain: compile_c(SOURCES / "paths.c", toolchain, *request.param)


def _run(
    handler: BaseHandler,
    make_bundle: Callable[..., Path],
    wasm: Path | bytes,
    *actions: str,
    limits: Limits | None = None,
    **options: object,
) -> tuple[list[str], Path]:
    options.setdefault("cwd", "/work")
    bundle = Bundle.load(make_bundle(wasm, args=" ".join(actions).split(), **options))
    work = bundle.rootfs / "work"
    (work / "inner").mkdir(parents=True, exist_ok=True)
    (bundle.rootfs / "etc").mkdir()
    (bundle.rootfs / "etc/conf").write_text("etc")
    for directory in (bundle.rootfs, work):
        for name in NAMES:
            (directory / name).write_text("root" if directory is bundle.rootfs else "work")
    result = handler.execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture(), limits=limits or Limits())
    assert result.ok, result
    return (result.stdout or b"").decode().splitlines(), bundle.rootfs


def _files(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir() if path.is_file() and path.suffix != ".wasm"}


BEFORE = dict.fromkeys(NAMES, "{}")
AFTER = {"state.moved": "{}", "same": "{}", "new": ""}


def _expected(files: dict[str, str], place: str) -> dict[str, str]:
    return {name: content.format(place) for name, content in files.items()}


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize("limits", [Limits(), Limits(memory=64 << 20)], ids=["free", "limited"])
def test_absolute_paths(
    handler: BaseHandler,
    make_bundle: Callable[..., Path],
    program: Callable[[str], Path],
    toolchain: str,
    limits: Limits,
) -> None:
    """They lead to the root's files; nothing happens to those of the working directory."""
    actions = ("move /state", "remove /old", "new /new", "read /same", "read /etc/conf", "list /", "list /work")
    lines, root = _run(handler, make_bundle, program(toolchain), *actions, limits=limits)
    assert [line.rpartition(" ")[2] for line in lines] == ["done"] * len(actions), lines
    assert _files(root / "work") == _expected(BEFORE, "work")
    assert _files(root) == _expected(AFTER, "root")
    assert lines[3].startswith("root ")
    assert "etc" in lines[5].split()
    assert "inner" in lines[6].split()


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_relative_paths(
    handler: BaseHandler, make_bundle: Callable[..., Path], program: Callable[[str], Path], toolchain: str
) -> None:
    """They lead to the working directory's."""
    actions = ("move state", "remove ./old", "new new", "read same", "list .", "list inner")
    lines, root = _run(handler, make_bundle, program(toolchain), *actions)
    assert [line.rpartition(" ")[2] for line in lines] == ["done"] * len(actions), lines
    assert _files(root) == _expected(BEFORE, "root")
    assert _files(root / "work") == _expected(AFTER, "work")
    assert lines[3].startswith("work ")
    assert "inner" in lines[4].split()


def test_a_mount_takes_no_relative_path(
    handler: BaseHandler, make_bundle: Callable[..., Path], program: Callable[[str], Path], tmp_path: Path
) -> None:
    """A directory of the working directory's is another one than the mount of that name in the root."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "name").write_text("mounted")
    mount = {"destination": "/inner", "type": "bind", "source": str(volume), "options": ["bind"]}
    lines, root = _run(
        handler,
        make_bundle,
        program("clang"),
        "new inner/new",
        "read /inner/name",
        mounts=[mount],
        directories=["/inner"],
    )
    assert lines == ["new inner/new: done", "mounted read /inner/name: done"]
    assert (root / "work/inner/new").exists()
    assert not (volume / "new").exists()


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_the_library_knows_its_working_directory(
    handler: BaseHandler, make_bundle: Callable[..., Path], toolchain: str
) -> None:
    """``getcwd`` tells it, and ``chdir`` starts from it, and leads from there."""
    wasm = compile_c(SOURCES / "paths.c", toolchain, "-DCHDIR")
    actions = ("where .", "enter inner", "where .", "new here", "enter /etc", "read conf", "enter ../work", "where .")
    lines, root = _run(handler, make_bundle, wasm, *actions)
    assert lines[0] == "/work where .: done"
    assert lines[2] == "/work/inner where .: done"
    assert (root / "work/inner/here").exists()
    assert lines[5] == "etc read conf: done"


def test_a_long_name(handler: BaseHandler, make_bundle: Callable[..., Path]) -> None:
    """For which there is no room in the guest: relative paths start there all the same."""
    cwd = "/work" + "/directory" * 120
    bundle_options = {"cwd": cwd, "directories": [cwd]}
    wasm = compile_c(SOURCES / "paths.c", "clang", "-DCHDIR")
    lines, root = _run(handler, make_bundle, wasm, "new new", **bundle_options)
    assert lines == ["new new: done"]
    assert (root / cwd.lstrip("/") / "new").exists()


FIRST = """(module
  (import "wasi_snapshot_preview1" "path_create_directory" (func $make (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (data (i32.const 2000) "made")
  (func (export "_start") (call $exit (call $make (i32.const 3) (i32.const 2000) (i32.const 4)))))"""


def test_the_first_directory_is_the_working_directory(handler: BaseHandler, make_bundle: Callable[..., Path]) -> None:
    """For those who take descriptor 3 for it, as Zig does."""
    _, root = _run(handler, make_bundle, assembled(FIRST))
    assert (root / "work/made").is_dir()
    assert not (root / "made").exists()
