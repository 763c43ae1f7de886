"""What can't be run is refused at ``create``, and told in the way in which the caller listens."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runtime.containers import Runtime

_FOREIGN = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x09\x01\x03env\x01f\0\0"  # imports env.f


@pytest.mark.parametrize(
    ("wasm", "options", "status", "reason"),
    [
        (b"", {"entry": "/missing.wasm"}, 127, "/missing.wasm: isn't in the root file system"),
        (b"\x7fELF\x02", {}, 126, "an ELF program, not WebAssembly"),
        (b"\0asm\x01\0\0\0\x01\xff", {}, 126, "/app.wasm"),
        (_FOREIGN, {}, 126, "exports no function '_start'"),
        (b"\0asm\x01\0\0\0", {"annotations": {"run.oci.handler": "wasm"}, "cwd_is_file": True}, 125, "$.process.cwd"),
    ],
    ids=["missing", "native", "damaged", "foreign", "no working directory"],
)
def test_a_module_that_can_not_run(
    runtime: Runtime, tmp_path: Path, wasm: bytes, options: dict[str, Any], status: int, reason: str
) -> None:
    """The reason stands in the JSON log and in the standard error, and nothing is left."""
    if options.pop("cwd_is_file", False):
        options["extra"] = {"process": {"cwd": "/app.wasm"}}
    (tmp_path / "app.wasm").write_bytes(wasm)
    log = tmp_path / "log"
    bundle = runtime.bundle(tmp_path / "app.wasm", **options)
    done = runtime.call("--log", log, "--log-format", "json", "create", "--bundle", bundle, "c")
    entry = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    assert (done.returncode, entry["level"], reason in entry["msg"]) == (status, "error", True)
    assert entry["msg"] in done.stderr.decode()
    # By these words Podman tells a program that is missing from one that can't be run.
    assert ("no such file or directory" in entry["msg"]) == (status == 127)
    assert runtime.call("state", "c").returncode != 0


def test_text_log(runtime: Runtime, tmp_path: Path) -> None:
    """Without a format the log is in runc's words."""
    bundle = runtime.bundle("hello", entry="/missing.wasm")
    runtime.call("--log", tmp_path / "log", "create", "--bundle", bundle, "c")
    line = (tmp_path / "log").read_text(encoding="utf-8")
    assert line.startswith('time="')
    assert ' level=error msg="/missing.wasm: ' in line


def test_a_broken_spec(runtime: Runtime) -> None:
    """A spec that may be Wasm and can't be read is told by file and place."""
    bundle = runtime.bundle("hello")
    (bundle / "config.json").write_text('{"annotations": {"run.oci.handler": 5}}', encoding="utf-8")
    done = runtime.call("create", "--bundle", bundle, "c")
    assert (done.returncode, "config.json: $.ociVersion" in done.stderr.decode()) == (125, True)
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize("name", ["", "../x", "a/b"])
def test_a_name_that_can_not_be(runtime: Runtime, name: str) -> None:
    """It is refused before anything is made."""
    done = runtime.call("create", "--bundle", runtime.bundle("hello"), name)
    assert (done.returncode, f"{name!r} is no container's id" in done.stderr.decode()) == (125, True)


def test_an_engine_that_is_not_there(runtime: Runtime) -> None:
    """A name that is no engine's is the native runtime's, as with crun; one that is forced is an error."""
    bundle = runtime.bundle("hello", annotations={})
    done = runtime.call("--handler", "nonsense", "create", "--bundle", bundle, "c")
    assert (done.returncode, b"no engine is called 'nonsense'" in done.stderr) == (125, True)


def test_forced_twice(runtime: Runtime) -> None:
    """A handler that is forced and one that is annotated are one too many."""
    done = runtime.call("--handler", "wasm", "create", "--bundle", runtime.bundle("hello"), "c")
    assert (done.returncode, b"is forced from outside" in done.stderr) == (125, True)


def test_a_record_of_somebody_elses(runtime: Runtime, tmp_path: Path) -> None:
    """In a directory that another user has made nothing is kept."""
    (tmp_path / "run" / "wasmoci").mkdir(parents=True)
    os.chown(tmp_path / "run" / "wasmoci", 12345, 12345)
    command = runtime.command("create", "--bundle", runtime.bundle("hello"), "c")
    prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {tmp_path}/run /run; exec "$@"', "sh"]
    done = subprocess.run([*prefix, *command], capture_output=True, check=False)
    assert (done.returncode, b"/run/wasmoci: belongs to the user 12345, not to 0" in done.stderr) == (125, True)


@pytest.mark.parametrize(
    ("annotations", "told"),
    [
        ({"module.wasm.image/variant": "compact"}, "module.wasm.image/variant is 'compact'; compat or compat-smart"),
        ({"run.oci.handler": "wasmtim"}, "run.oci.handler is 'wasmtim'; one of wasm, wasm-smart, "),
        ({"module.wasm.image/variant.web": "compat"}, "module.wasm.image/variant.web can't apply"),
    ],
    ids=["variant", "handler", "name"],
)
def test_a_warning(runtime: Runtime, tmp_path: Path, annotations: dict[str, str], told: str) -> None:
    """It stands in the JSON log and in the standard error, and the container is the native runtime's."""
    log = tmp_path / "log"
    bundle = runtime.bundle("hello", annotations=annotations)
    done = runtime.call("--log", log, "--log-format", "json", "run", "--bundle", bundle, "c")
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert (entries[0]["level"], told in entries[0]["msg"]) == ("warning", True)
    assert f"wasmoci-runtime: warning: {entries[0]['msg']}\n" in done.stderr.decode()
    assert b"exec format error" in done.stderr


@pytest.mark.parametrize(
    ("key", "value", "smart"),
    [("module.wasm.image/variant", "compat", "compat-smart"), ("run.oci.handler", "wasm", "wasm-smart")],
)
def test_a_native_side_car(runtime: Runtime, tmp_path: Path, key: str, value: str, smart: str) -> None:
    """What is refused under an annotation for a whole pod names it, and the one that leaves it to the program."""
    (tmp_path / "app").write_bytes(b"\x7fELF\x02")
    done = runtime.call("create", "--bundle", runtime.bundle(tmp_path / "app", annotations={key: value}), "c")
    assert done.returncode == 126
    line = next(line for line in done.stderr.decode().splitlines() if "ELF" in line)
    assert f"the annotation {key}={value} has it run as Wasm, and with {key}={smart} its program decides" in line


def test_no_cgroups_without_crun(runtime: Runtime) -> None:
    """Podman's ``--cgroups=disabled`` is crun's to do; with another runtime the reason is told."""
    done = runtime.call("--cgroup-manager=disabled", "run", "--bundle", runtime.bundle("hello"), "c")
    assert (done.returncode, b"made by crun alone, and the native runtime is runc" in done.stderr) == (126, True)
