"""The binding that the documentation shows, on real guests: the same as on wasmtime's own WASI."""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.guests import compile_c
from tests.support.requirements import require
from tests.wasi.harness import ByteMemory, FixedClocks
from tests.wasi.native import trampolines
from wasmoci.wasi import FUNCTIONS, MODULES, FileTree, Mount, Preopen, ProcExit, Wasi

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[2] / "docs/how-to"
GUESTS = Path(__file__).parent / "guests"


def examples(page: str) -> list[str]:
    """The Python examples of a page."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def run_on_wasm3(wasm: bytes, **options: Any) -> int:
    """The binding of the documentation."""
    require(importlib.util.find_spec("wasm3"), "wasm3 is missing: pip install pywasm3")
    names: dict[str, Any] = {}
    exec(examples("bind-wasi-to-an-engine.md")[0], names)  # noqa: S102 - it is what is tested
    result: int = names["run"](wasm, **options)
    return result


def run_on_wasmer(wasm: bytes, **options: Any) -> int:
    """The same for wasmer 1.1."""
    present = sys.version_info < (3, 11) and importlib.util.find_spec("wasmer")
    if sys.version_info >= (3, 11):
        pytest.skip("wasmer 1.1 ends with Python 3.10")
    require(present, "wasmer is missing: pip install wasmer wasmer-compiler-cranelift")
    wasmer: Any = importlib.import_module("wasmer")
    cranelift: Any = importlib.import_module("wasmer_compiler_cranelift")
    store = wasmer.Store(wasmer.engine.JIT(cranelift.Compiler))
    module = wasmer.Module(store, wasm)
    kinds = {"i32": wasmer.Type.I32, "i64": wasmer.Type.I64}
    with Wasi(**options) as wasi:
        imports = wasmer.ImportObject()
        functions = {
            name: wasmer.Function(
                store,
                function.call,
                wasmer.FunctionType([kinds[p] for p in function.params], [kinds[r] for r in function.results]),
            )
            for name, function in wasi.functions().items()
        }
        for namespace in MODULES:
            imports.register(namespace, functions)
        instance = wasmer.Instance(module, imports)

        class Memory:
            def view(self) -> memoryview:
                return memoryview(instance.exports.memory.buffer)

        wasi.bind(Memory())
        try:
            instance.exports._start()
        except ProcExit as exit_:
            return exit_.code
    return 0


def run_on_wasmtime(wasm: bytes, **options: Any) -> int:
    """The same for wasmtime, whose functions may be written in Python too."""
    require(importlib.util.find_spec("wasmtime"), "wasmtime is missing: pip install wasmtime")
    import ctypes  # noqa: PLC0415

    wasmtime: Any = importlib.import_module("wasmtime")
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    linker = wasmtime.Linker(engine)
    kinds = {"i32": wasmtime.ValType.i32(), "i64": wasmtime.ValType.i64()}
    with Wasi(**options) as wasi:
        for name, function in wasi.functions().items():
            kind = wasmtime.FuncType([kinds[p] for p in function.params], [kinds[r] for r in function.results])
            for namespace in MODULES:
                linker.define_func(namespace, name, kind, function.call)
        exports = linker.instantiate(store, wasmtime.Module(engine, wasm)).exports(store)

        class Memory:
            def view(self) -> memoryview:
                memory = exports["memory"]
                address = ctypes.addressof(memory.data_ptr(store).contents)
                return memoryview((ctypes.c_ubyte * memory.data_len(store)).from_address(address)).cast("B")

        wasi.bind(Memory())
        try:
            exports["_start"](store)
        except ProcExit as exit_:
            return exit_.code
    return 0


ENGINES = {"wasm3": run_on_wasm3, "wasmer": run_on_wasmer, "wasmtime": run_on_wasmtime}


@pytest.fixture(params=ENGINES)
def run(request: pytest.FixtureRequest) -> Callable[..., int]:
    """Runs a command on each engine, with our host."""
    result: Callable[..., int] = ENGINES[request.param]
    return result


def native_transcript(wasm: bytes, root: Path, scratch: Path) -> tuple[int, bytes, bytes]:
    """What the guest says on wasmtime's own WASI."""
    require(importlib.util.find_spec("wasmtime"), "wasmtime is the oracle: pip install wasmtime")
    wasmtime: Any = importlib.import_module("wasmtime")
    (scratch / "stdin").write_bytes(b"one\ntwo\n")
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    config = wasmtime.WasiConfig()
    config.argv = ["guest", "an argument", "é"]
    config.env = [("GREETING", "hello = world")]
    config.preopen_dir(str(root), "/")
    config.stdin_file = str(scratch / "stdin")
    config.stdout_file = str(scratch / "stdout")
    config.stderr_file = str(scratch / "stderr")
    store.set_wasi(config)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    code = 0
    try:
        linker.instantiate(store, wasmtime.Module(engine, wasm)).exports(store)["_start"](store)
    except wasmtime.ExitTrap as exit_:
        code = exit_.code
    return code, (scratch / "stdout").read_bytes(), (scratch / "stderr").read_bytes()


def make_root(directory: Path) -> Path:
    """The files that the guest is given."""
    (directory / "directory").mkdir(parents=True)
    (directory / "input").write_text("12345")
    return directory


def test_a_program_in_c_says_the_same_as_on_wasmtime(run: Callable[..., int], tmp_path: Path) -> None:
    """Files, directories, links, time, polling, and its end."""
    wasm = compile_c(GUESTS / "transcript.c", "clang", "-Wl,--strip-all").read_bytes()
    stdout, stderr = io.BytesIO(), io.BytesIO()
    code = run(
        wasm,
        args=["guest", "an argument", "é"],
        env=[("GREETING", "hello = world")],
        preopens=[Preopen(make_root(tmp_path / "ours"), "/")],
        stdin=io.BytesIO(b"one\ntwo\n"),
        stdout=stdout,
        stderr=stderr,
    )
    expected = native_transcript(wasm, make_root(tmp_path / "theirs"), tmp_path)
    assert (code, stdout.getvalue(), stderr.getvalue()) == expected
    assert code == 3


def test_a_program_in_c_in_a_container(run: Callable[..., int], tmp_path: Path) -> None:
    """Relative and absolute paths mean what they say, through links and mounts, as far as the C library lets one tell."""
    root = make_root(tmp_path / "root")
    (root / "work").mkdir()
    (root / "work/local").write_text("local,")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("users,")
    (root / "work/link").symlink_to("/etc/passwd")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("data,")
    tree = FileTree(root, mounts=[Mount(tmp_path / "data", "/srv/data"), Mount(tmp_path / "data/file", "/etc/single")])
    paths = [
        "local",
        "./local",
        "/work/local",
        "/etc/passwd",
        "link",
        "/work/link",
        "/srv/data/file",
        "/etc/single",
        "x",
    ]
    stdout = io.BytesIO()
    wasm = compile_c(GUESTS / "cat.c", "clang", "-Wl,--strip-all").read_bytes()
    assert run(wasm, args=["cat", *paths], preopens=tree.preopens("/work"), stdout=stdout) == 0
    assert stdout.getvalue() == b"local,local,local,users,users,users,data,data,[44]"


def test_the_examples_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those on binding, in the order of the page, with a guest and files as they name them."""
    require(importlib.util.find_spec("wasm3"), "wasm3 is missing: pip install pywasm3")
    monkeypatch.chdir(tmp_path)
    make_root(tmp_path / "files")
    for name in ("rootfs/srv", "rootfs/etc", "data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "resolv.conf").write_text("")
    names: dict[str, Any] = {"wasm": _assemble('(module (memory (export "memory") 1) (func (export "_start")))')}
    codes = []
    for example in examples("bind-wasi-to-an-engine.md"):
        exec(example, names)  # noqa: S102 - it is what is tested
        codes.append(names.get("code"))
    assert codes == [None, 0, 0]


TELL = """(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\40\\00\\00\\00\\08\\00\\00\\00" "\\40\\00\\00\\00\\20\\00\\00\\00")
  (func (export "_start")
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 32)))
    (drop (call $random (i32.const 72) (i32.const 8)))
    (drop (call $time (i32.const 0) (i64.const 1) (i32.const 80)))
    (i32.store (i32.const 272) (i32.const 1)) ;; a subscription to the monotonic clock, in an hour
    (i64.store (i32.const 280) (i64.const 3600000000000))
    (drop (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 32)))
    (drop (call $time (i32.const 1) (i64.const 1) (i32.const 88)))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 32)))))"""


def test_the_deterministic_harness_of_the_documentation() -> None:
    """The same input and seed give the same output, an hour later at once; another seed another one."""
    require(importlib.util.find_spec("wasm3"), "wasm3 is missing: pip install pywasm3")
    names: dict[str, Any] = {"wasm": _assemble(TELL), "run": run_on_wasm3}
    for example in examples("deterministic-guests.md"):
        if "wasmoci.run" in example:  # of a bundle, which tests/docs runs
            continue
        exec(example, names)  # noqa: S102 - it is what is tested
    output = names["output"]
    first = output(b"12345678")
    assert first == output(b"12345678")
    assert first[:8] == b"12345678"
    assert int.from_bytes(first[16:24], "little") == 1_700_000_000 * 10**9
    assert int.from_bytes(first[24:32], "little") == 3600 * 10**9
    assert first[8:16] != output(b"12345678", seed=1)[8:16]


@pytest.mark.parametrize("module", MODULES)
def test_both_module_names_are_linked(run: Callable[..., int], module: str) -> None:
    """A guest of either age runs."""
    text = (
        f'(module (import "{module}" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1) '
        '(func (export "_start") (call $exit (i32.const -1))))'
    )
    assert run(_assemble(text)) == 0xFFFF_FFFF


def test_memory_that_grows_is_seen_by_the_next_call(run: Callable[..., int]) -> None:
    """A pointer into the new page is good, and one behind it isn't."""
    text = """(module
      (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func $try (param i32) (result i32) (call $time (i32.const 0) (i64.const 0) (local.get 0)))
      (func (export "_start") (local $codes i32)
        (local.set $codes (call $try (i32.const 65536)))
        (drop (memory.grow (i32.const 1)))
        (local.set $codes (i32.add (i32.mul (local.get $codes) (i32.const 100)) (call $try (i32.const 65536))))
        (local.set $codes (i32.add (i32.mul (local.get $codes) (i32.const 100)) (call $try (i32.const 131072))))
        (call $exit (local.get $codes))))"""
    assert run(_assemble(text)) == 210021  # FAULT, SUCCESS, FAULT


def test_every_function_can_be_imported(run: Callable[..., int]) -> None:
    """With the types of the table, on each engine."""
    text = trampolines()
    assert text.count("import") == len(FUNCTIONS)
    assert run(_assemble(text[:-1] + '(func (export "_start")))')) == 0


def test_a_bytearray_is_memory_enough() -> None:
    """For tests of a host function, no engine is needed."""
    memory = ByteMemory(64)
    with Wasi(clocks=FixedClocks()) as wasi:
        wasi.bind(memory)
        assert wasi.functions()["clock_time_get"].call(1, 0, 8) == 0
    assert memory.data[8:16] == (1000).to_bytes(8, "little")


def test_the_package_stands_alone() -> None:
    """It needs nothing that isn't in the standard library, and of wasmoci the errors and what makes a start fast."""
    script = (
        "import sys; before = set(sys.modules); import wasmoci.wasi;"
        "new = {m for m in set(sys.modules) - before if not m.startswith('wasmoci.wasi')};"
        "print(*sorted(m for m in new if m.split('.')[0] not in sys.stdlib_module_names))"
    )
    import subprocess  # noqa: PLC0415

    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, cwd=root, check=True)
    ours = {"wasmoci", "wasmoci.errors", "wasmoci._startup", "wasmoci._startup.lazy", "wasmoci._startup.typing"}
    assert set(done.stdout.split()) <= ours


def _assemble(text: str) -> bytes:
    require(importlib.util.find_spec("wasmtime"), "guests in text form need wasmtime: pip install wasmtime")
    wasmtime: Any = importlib.import_module("wasmtime")
    return bytes(wasmtime.wat2wasm(text))
