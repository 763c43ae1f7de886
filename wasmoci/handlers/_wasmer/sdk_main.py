"""The program that runs one guest with wasmer's SDK, and passes on the bytes between the guest and its host.

Descriptor 0 brings a :data:`~.sdk_protocol.LENGTH`, a JSON object, the module, and then what the guest reads; descriptor 1 takes what it
writes. A third descriptor, whose number is the only argument, takes JSON objects, one a line: ``started``, and at the end
``exited`` or ``failed``.

This is the SDK's own process because the SDK leaves threads and descriptors behind each run, writes a report of each trap to
descriptor 2, and now and then aborts a process that ends with its threads. Next to nothing of the package is imported here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from wasmoci.handlers._wasmer.sdk_protocol import LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator

# Not by name: the package is there on some versions of Python only.
wasmer_sdk = importlib.import_module("wasmer_sdk")

_COMMAND = "guest"
_CHUNK = 1 << 16
_DATA = 5  # the field of statm: data and stack, in pages


def main() -> None:
    """Run the guest that is sent on descriptor 0, and end the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is our caller's affair
    status = int(sys.argv[1])
    sizes = LENGTH.unpack(_read(LENGTH.size))
    request, module = json.loads(_read(sizes[0])), _read(sizes[1])
    _die_with(request["parent"])
    try:
        asyncio.run(_run_to_end(request, module, status))
    except BaseException:  # noqa: BLE001  whatever it is, the SDK's threads must not keep the process
        traceback.print_exc()
    os._exit(1)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its caller ends: while the SDK compiles, nothing else would."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@contextlib.contextmanager
def _bounded(memory: int | None) -> Iterator[None]:
    """Limit what this process allocates in the context."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if memory is not None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[_DATA])
        most = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


async def _run_to_end(request: dict[str, Any], module: bytes, status: int) -> NoReturn:
    try:
        answer = await _run(request, module, status)
    except wasmer_sdk.WasmerError as error:
        answer = {"failed": str(error)}
    # Our caller, who serves the guest until its end, may be reading or writing there, and so not take the answer, which can
    # be longer than a pipe holds.
    os.close(0)
    os.close(1)
    _tell(status, answer)
    os._exit(0)


async def _run(request: dict[str, Any], module: bytes, status: int) -> dict[str, Any]:
    with _bounded(request["memory"]):
        client = wasmer_sdk.Wasmer(cache_root=request["cache"], output_bytes=0)
        command = wasmer_sdk.PackageCommandDefinition(module=_COMMAND)
        package = await client.packages.create(
            wasmer_sdk.PackageDefinition(modules={_COMMAND: module}, commands={_COMMAND: command})
        )
        sandbox = await client.sandboxes.create(packages=[package])
        process = await sandbox.command(package.command(_COMMAND)).spawn(
            stdin="pipe", stdout="pipe", stderr="discard", output_bytes=0
        )
    _tell(status, {"started": True})
    feeding = asyncio.create_task(_feed(process))
    async for chunk in process.stdout:
        _write(1, chunk)
    output = await process.wait()
    feeding.cancel()
    return {"exited": output.exit_code}


async def _feed(process: Any) -> None:
    reader = asyncio.StreamReader(limit=_CHUNK)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while data := await reader.read(_CHUNK):
        await process.stdin.write(data)
    # Nobody is at the other end any more.
    os._exit(1)


def _read(size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = os.read(0, min(size - len(data), 1 << 20))
        if not chunk:
            os._exit(1)
        data += chunk
    return bytes(data)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _tell(status: int, message: dict[str, Any]) -> None:
    _write(status, json.dumps(message).encode() + b"\n")
