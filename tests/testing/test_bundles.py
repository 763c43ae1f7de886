"""The builder of bundles that tests are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import usable
from wasmoci.dispatch.registry import Registry
from wasmoci.errors import InvalidBundle, InvalidModule, InvalidSpec, NoSuitableEngine
from wasmoci.testing import assemble, bundle, bundles

if TYPE_CHECKING:
    from pathlib import Path

EMPTY = b"\0asm\1\0\0\0"
TEXT = '(module (func (export "_start")))'


def test_everything_in_one_call(tmp_path: Path) -> None:
    """Arguments, environment, files, links, mounts and flags are in the bundle that comes back."""
    copied = tmp_path / "copied"
    copied.write_text("from the host")
    made = bundle(
        tmp_path / "b",
        EMPTY,
        args=["x", ""],
        program="/bin/tool.wasm",
        env={"B": "1=2", "A": ""},
        cwd="/work",
        files={"/etc/text": "ü", "/etc/bytes": b"\0", "/etc/copy": copied},
        directories=["/empty/inner"],
        symlinks={"/links/there": "/etc/text"},
        mounts=[(copied, "/single", "ro"), {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}],
        readonly=True,
        memory=1 << 20,
        extra={"hostname": "h"},
    )

    process, root = made.spec.process, made.rootfs
    assert process is not None
    assert (process.args, process.env, process.cwd) == (("/bin/tool.wasm", "x", ""), ("B=1=2", "A="), "/work")
    assert (root / "bin/tool.wasm").read_bytes() == EMPTY
    assert [(root / "etc" / name).read_bytes() for name in ("text", "bytes", "copy")] == [
        "ü".encode(),
        b"\0",
        b"from the host",
    ]
    assert ((root / "work").is_dir(), (root / "empty/inner").is_dir()) == (True, True)
    assert str((root / "links/there").readlink()) == "/etc/text"
    assert [(mount.destination, mount.type) for mount in made.spec.mounts] == [
        ("/single", "bind"),
        ("/scratch", "tmpfs"),
    ]
    assert made.spec.annotations == {"run.oci.handler": "wasm"}
    assert (made.spec.root is not None and made.spec.root.readonly, made.spec.memory_limit) == (True, 1 << 20)
    assert made.spec.raw["hostname"] == "h"


def test_variables_may_be_strings_that_come_twice(tmp_path: Path) -> None:
    """What a mapping can't say, strings can."""
    made = bundle(tmp_path / "b", EMPTY, env=["A=1", "A=2"], entry="tool#f", annotations={})

    assert made.spec.process is not None
    assert (made.spec.process.env, made.spec.process.args, made.spec.annotations) == (("A=1", "A=2"), ("tool#f",), {})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"args": "abc"}, "args is the string 'abc'; a sequence"),
        ({"mounts": {"/host": "/guest"}}, r"mounts is {'/host': '/guest'}; a sequence of \(host path, guest path"),
        ({"mounts": "/host:/guest"}, "mounts is '/host:/guest'; a sequence"),
        ({"mounts": ["/host:/guest"]}, r"mounts: found '/host:/guest'; \(host path, guest path, \*options\) was"),
        ({"mounts": [("/host",)]}, r"mounts: found \('/host',\)"),
        ({"mounts": [("/host", "/guest", 1)]}, r"mounts: found \('/host', '/guest', 1\)"),
        ({"files": ["/a"]}, r"files is \['/a'\]; a mapping"),
        ({"annotations": "run.oci.handler=wasm"}, "annotations is 'run.oci.handler=wasm'; a mapping"),
    ],
)
def test_one_thing_isnt_taken_for_several(tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    """A string is a sequence too: of letters, the first of which is the host's root. Nothing is written."""
    with pytest.raises(TypeError, match=expected):
        bundle(tmp_path / "b", EMPTY, **options)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("form", ["string", "file"])
def test_text_is_assembled(tmp_path: Path, form: str) -> None:
    """As a string and as a file, so that an engine without the text format runs it."""
    usable("wasmtime")
    source = tmp_path / "source.wat"
    source.write_text(TEXT)
    made = bundle(tmp_path / "b", TEXT if form == "string" else source)

    assert (made.rootfs / "app.wasm").read_bytes() == assemble(TEXT)


def test_text_stays_text_where_it_is_wanted(tmp_path: Path) -> None:
    """A program by the name of a text is one."""
    made = bundle(tmp_path / "b", TEXT, program="/app.wat")

    assert (made.rootfs / "app.wat").read_text() == TEXT


def test_text_without_an_assembler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr(bundles.registry, "default", lambda: Registry("wasmoci.tests.none"))

    with pytest.raises(NoSuitableEngine, match=r"wasmoci\[wasmtime\]"):
        assemble(TEXT)


def test_text_with_an_error() -> None:
    """The error names the source."""
    usable("wasmtime")
    with pytest.raises(InvalidModule, match=r"my\.wat"):
        assemble("(module (func", source="my.wat")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"files": {"/../out": ""}}, InvalidBundle, r'"/\.\./out" has a|/\.\./out'),
        ({"cwd": "relative"}, InvalidSpec, r"process\.cwd"),
        ({"env": ["A"]}, InvalidSpec, r"process\.env"),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, options: Any, error: type[Exception], message: str) -> None:
    """By the place in it."""
    with pytest.raises(error, match=message):
        bundle(tmp_path / "b", EMPTY, **options)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A directory with something in it is refused."""
    bundle(tmp_path / "b", EMPTY)

    with pytest.raises(InvalidBundle, match="exists already"):
        bundle(tmp_path / "b", EMPTY)
