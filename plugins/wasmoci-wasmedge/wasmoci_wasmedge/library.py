"""Runs one guest with WasmEdge's C library, as a separate program: WasmEdge's WASI only knows the process's own streams.

It is called as ``python -I library.py LIBRARY version FD`` or ``python -I library.py LIBRARY run FD REQUEST``, and
imports only the standard library. It writes its messages to the descriptor ``FD``, one JSON object per line. The names,
signatures and structures are those of ``wasmedge/wasmedge.h``, from version 0.13 on.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from ctypes import POINTER, c_bool, c_char_p, c_int, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

OLDEST = (0, 13)
_WASI = 0  # WasmEdge_HostRegistration_Wasi


class String(ctypes.Structure):
    """``WasmEdge_String``, which doesn't own its bytes."""

    _fields_ = (("length", c_uint32), ("buffer", c_char_p))

    @classmethod
    def of(cls, text: str) -> String:
        """Convert a text; the result is valid as long as the string."""
        data = text.encode()
        return cls(len(data), data)


class Result(ctypes.Structure):
    """``WasmEdge_Result``."""

    _fields_ = (("code", c_uint32),)


_STRINGS = POINTER(c_char_p)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "VersionGet": (c_char_p,),
    "VersionGetMajor": (c_uint32,),
    "VersionGetMinor": (c_uint32,),
    "LogSetErrorLevel": (None,),
    "ResultOK": (c_bool, Result),
    "ResultGetCode": (c_uint32, Result),
    "ResultGetMessage": (c_char_p, Result),
    "ConfigureCreate": (c_void_p,),
    "ConfigureDelete": (None, c_void_p),
    "ConfigureAddHostRegistration": (None, c_void_p, c_int),
    "ConfigureSetMaxMemoryPage": (None, c_void_p, c_uint32),
    "ConfigureStatisticsSetCostMeasuring": (None, c_void_p, c_bool),
    "VMCreate": (c_void_p, c_void_p, c_void_p),
    "VMDelete": (None, c_void_p),
    "VMGetImportModuleContext": (c_void_p, c_void_p, c_int),
    "VMGetStatisticsContext": (c_void_p, c_void_p),
    "StatisticsSetCostLimit": (None, c_void_p, c_uint64),
    "ModuleInstanceInitWASI": (None, c_void_p, _STRINGS, c_uint32, _STRINGS, c_uint32, _STRINGS, c_uint32),
    "ModuleInstanceWASIGetExitCode": (c_uint32, c_void_p),
    "VMLoadWasmFromFile": (Result, c_void_p, c_char_p),
    "VMValidate": (Result, c_void_p),
    "VMInstantiate": (Result, c_void_p),
    "VMExecute": (Result, c_void_p, String, c_void_p, c_uint32, c_void_p, c_uint32),
}
_OPTIONAL: dict[str, tuple[Any, ...]] = {
    "LogOff": (None,),
    # With it, native code in a module is not run.
    "ConfigureSetForceInterpreter": (None, c_void_p, c_bool),
}


class Library:
    """The C functions, without their prefix: ``library.VMCreate(...)``.

    Args:
        path: The shared object: a path, or a name that the dynamic loader searches for.

    Raises:
        OSError: It can't be loaded, or is another library or too old.
    """

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        self._functions: dict[str, Any] = {}
        for name, (result, *arguments) in {**_SIGNATURES, **_OPTIONAL}.items():
            function = getattr(self._library, f"WasmEdge_{name}", None)
            if function is None:
                if name in _SIGNATURES:
                    raise OSError(f"{path}: has no function WasmEdge_{name}")
                continue
            function.restype, function.argtypes = result, arguments
            self._functions[name] = function
        version = (self.VersionGetMajor(), self.VersionGetMinor())
        if version < OLDEST:
            raise OSError(f"{path}: is version {self.version}; {'.'.join(map(str, OLDEST))} or later is needed")

    def __getattr__(self, name: str) -> Any:
        return self._functions[name]

    @property
    def version(self) -> str:
        """Its version."""
        return os.fsdecode(self.VersionGet())

    @property
    def can_force_interpreter(self) -> bool:
        """Return whether native code in a module can be ignored."""
        return "ConfigureSetForceInterpreter" in self._functions

    def be_quiet(self) -> None:
        """Disable the log, which would be in the guest's standard error."""
        if "LogOff" in self._functions:
            self.LogOff()
        else:
            self.LogSetErrorLevel()


def run(library: Library, request: dict[str, Any], tell: Any) -> dict[str, Any]:
    """Run a guest.

    Args:
        library: WasmEdge.
        request: ``module`` (a path), ``functions`` to call in order, ``argv``, ``env``, ``preopens``, ``pages`` and ``fuel`` (or null).
        tell: Called with a message when the guest begins.

    Returns:
        The final message.
    """
    library.be_quiet()
    configuration = library.ConfigureCreate()
    library.ConfigureAddHostRegistration(configuration, _WASI)
    if library.can_force_interpreter:
        library.ConfigureSetForceInterpreter(configuration, True)
    if request["pages"] is not None:
        library.ConfigureSetMaxMemoryPage(configuration, request["pages"])
    if request["fuel"] is not None:
        library.ConfigureStatisticsSetCostMeasuring(configuration, True)
    machine = library.VMCreate(configuration, None)
    library.ConfigureDelete(configuration)
    if not machine:
        return {"event": "failed", "message": "WasmEdge_VMCreate gave no machine"}
    try:
        wasi = library.VMGetImportModuleContext(machine, _WASI)
        lists = [_strings(request[name]) for name in ("argv", "env", "preopens")]
        library.ModuleInstanceInitWASI(wasi, *(part for pair in lists for part in pair))
        if request["fuel"] is not None:
            library.StatisticsSetCostLimit(library.VMGetStatisticsContext(machine), request["fuel"])
        for result in (
            library.VMLoadWasmFromFile(machine, os.fsencode(request["module"])),
            library.VMValidate(machine),
        ):
            if not library.ResultOK(result):
                return {"event": "refused", "message": _message(library, result)}
        tell({"event": "started"})
        return _called(library, machine, wasi, request["functions"])
    finally:
        library.VMDelete(machine)


def _called(library: Library, machine: int, wasi: int, functions: list[str]) -> dict[str, Any]:
    result = library.VMInstantiate(machine)  # runs the start function
    for function in functions:
        # A guest that has exited has not failed, and no more functions are called.
        if not library.ResultOK(result) or library.ResultGetCode(result) != 0:
            break
        result = library.VMExecute(machine, String.of(function), None, 0, None, 0)
    if not library.ResultOK(result):
        return {"event": "trapped", "message": _message(library, result), "code": library.ResultGetCode(result)}
    return {"event": "exited", "code": library.ModuleInstanceWASIGetExitCode(wasi)}


def _message(library: Library, result: Result) -> str:
    text: bytes = library.ResultGetMessage(result)
    return text.decode("utf-8", "replace")


def _strings(texts: list[str]) -> tuple[Any, int]:
    return (c_char_p * len(texts))(*(os.fsencode(text) for text in texts)), len(texts)


def main(path: str, task: str, descriptor: str, *request: str) -> None:
    """Run the command line."""

    def tell(message: dict[str, Any]) -> None:
        os.write(int(descriptor), json.dumps(message).encode() + b"\n")

    try:
        library = Library(path)
        if task == "version":
            tell({"event": "version", "version": library.version, "force_interpreter": library.can_force_interpreter})
        else:
            tell(run(library, json.loads(Path(request[0]).read_text(encoding="utf-8")), tell))
    except OSError as error:
        tell({"event": "failed", "message": str(error)})


if __name__ == "__main__":
    main(*sys.argv[1:])
