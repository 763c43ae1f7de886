"""Programs that embed wasmoci: with processes, threads and greenlets of their own. What works is in docs/how-to/embed.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import wasmoci
from tests.conftest import usable
from tests.support.bundles import write_bundle
from tests.support.guests import build

ENGINES = ("wasm3", "wasmer", "wasmtime")
REPOSITORY = Path(__file__).parents[1]

_BEGIN = """
import multiprocessing, os, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
import wasmoci
bundle, engine = sys.argv[1:]

def forked(**options):
    "The status of a process that runs a guest; None where it does not end."
    process = os.fork()
    if not process:
        status = 1
        try:
            status = wasmoci.run(bundle, engine=engine, **options).exit_code
        finally:
            os._exit(status)
    for _ in range(3000):
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(process, 9)
    os.waitpid(process, 0)
    return None
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of a program that greets."""
    return write_bundle(tmp_path / "bundle", build("hello"))


def program(code: str, *arguments: object) -> str:
    """What a program prints, which writes nothing to its standard error."""
    script = Path(str(arguments[0])).parent / "program.py"  # a file, for processes that are spawned
    script.write_text(_BEGIN + code)
    # Since Python 3.12 a fork beside other threads is warned of, to which wasmtime's belong.
    quiet = ("-W", "ignore:This process:DeprecationWarning")
    done = subprocess.run(
        [sys.executable, *quiet, "-P" if sys.version_info >= (3, 11) else "-s", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=REPOSITORY,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_process_pool(bundle: Path, method: str) -> None:
    """A pool of processes runs guests, and gives results and errors, however it makes its processes."""
    code = f"""
if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context({method!r})) as pool:
        print([result.stdout for result in pool.map(wasmoci.run, [bundle] * 2)])
        try:
            pool.submit(wasmoci.run, "/none").result()
        except wasmoci.InvalidBundle as error:
            print(error.message.startswith("/none: doesn't exist"))
"""
    assert program(code, bundle, "wasmtime") == "[b'Hello, World!\\n', b'Hello, World!\\n']\nTrue\n"


@pytest.mark.parametrize("engine", ENGINES)
def test_prefork(bundle: Path, engine: str) -> None:
    """A process that is forked after a run runs guests, inline and in workers."""
    code = """
wasmoci.run(bundle, engine=engine)
print([forked() for _ in range(2)], forked(isolation="process"))
"""
    assert program(code, bundle, engine) == "[0, 0] 0\n"


@pytest.mark.parametrize("engine", ENGINES)
def test_preload(bundle: Path, engine: str) -> None:
    """What is preloaded is imported, so that a run imports nothing; no thread is started by it."""
    code = """
wasmoci.preload([engine])
threads, before = threading.active_count(), set(sys.modules)
wasmoci.run(bundle, engine=engine).check()
print(threads, sorted(set(sys.modules) - before))
"""
    wasmoci.run(bundle, engine=engine)  # compiled by now
    assert program(code, bundle, engine) == "1 []\n"


def test_fork_beside_a_run(bundle: Path) -> None:
    """After a preload and a first run, processes may be forked while another thread runs a guest."""
    code = """
wasmoci.preload([engine])
wasmoci.run(bundle, engine=engine)
thread = threading.Thread(target=wasmoci.run, args=(bundle,), kwargs={"engine": engine})
thread.start()
print({forked() for _ in range(10)})
thread.join()
"""
    assert program(code, bundle, "wasmtime") == "{0}\n"


def test_preload_of_what_there_is_not() -> None:
    """An engine that is named has to be there; else those are loaded that are."""
    with pytest.raises(wasmoci.UnknownEngine):
        wasmoci.preload(["none"])
    wasmoci.preload()


def test_fork_of_a_program_that_has_compiled(tmp_path: Path) -> None:
    """A child compiles by itself what its parent, whose engine has threads, has not."""
    usable("wasmtime")
    code = """
import os, signal, sys
from pathlib import Path
import wasmoci
from wasmoci.testing import bundle

def made(name, more):
    body = " ".join(f"(drop (i32.const {number}))" for number in range(more))
    return bundle(Path(sys.argv[1]) / name, f'(module (memory (export "memory") 1) (func (export "_start") {body}))')

small, another, large = made("small", 1), made("another", 2), made("large", 3000)
assert wasmoci.run(small, engine="wasmtime").ok
for program in (another, large):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(wasmoci.run(program, engine="wasmtime").exit_status)
    assert os.waitpid(child, 0)[1] == 0
"""
    environment = {**os.environ, "WASMOCI_CACHE": "off"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
