"""Builds bundles and images from what a test passes: a source file, a module, its text, or an existing bundle."""

from __future__ import annotations

import inspect
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from wasmoci import image as images
from wasmoci.dispatch.opening import opened
from wasmoci.errors import InvalidBundle
from wasmoci.oci.bundle import Bundle
from wasmoci.oci.filesystem import plan
from wasmoci.options import GuestOptions
from wasmoci.testing.bundles import bind_mount, bundle, several_mounts
from wasmoci.testing.tracebacks import WrongOption, short_traceback
from wasmoci.wasm.preamble import MAGIC

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Mapping

    from wasmoci.testing.bundles import Content

Wasm: TypeAlias = "str | os.PathLike[str] | bytes | Bundle"
"""The workload of a test: a ``.wasm``, ``.wat`` or ``.c`` file, a module's bytes or text, or an existing bundle or image."""

_OPTIONS = tuple(inspect.signature(bundle).parameters)[2:]  # those after the directory and the module

_WISHES = {"args": "args", "env": "env", "cwd": "cwd", "mounts": "volumes", "readonly": "read_only"}
"""The options for an existing bundle or image, with the names of the arguments of :func:`wasmoci.run`."""


class Builder:
    """Builds the bundles and images of one test.

    Args:
        root: The host directory that relative paths are relative to.
        new_directory: Returns the host path of a new directory, which isn't created yet.
        compile_c: Compiles a C file, and returns the module's path.
    """

    def __init__(self, root: Path, new_directory: Callable[[], Path], compile_c: Callable[[Path], Path]) -> None:
        self._root = root
        self._new_directory = new_directory
        self._compile_c = compile_c

    def __repr__(self) -> str:
        return "wasmoci"  # pytest shows the fixtures of a test that fails

    @short_traceback
    def bundle(self, wasm: Wasm, **options: Any) -> Bundle:
        """Write a bundle.

        Args:
            wasm: A ``.wasm``, ``.wat`` or ``.c`` file, a module's bytes, or its text.
            **options: See :func:`wasmoci.testing.bundle`.

        Raises:
            WasmociError: See :func:`wasmoci.testing.bundle`.
            InvalidBundle: There is no such file.
        """
        program = self._program(wasm)
        if program is None:
            raise InvalidBundle(
                f"{_name(wasm)}: there is no such file beneath {self._root}",
                hint="name a .wasm, .wat or .c file, or give the module's bytes or text",
            )
        return self._write(program, options)

    @short_traceback
    def image(self, wasm: Wasm, *, variant: str | None = "compat", **options: Any) -> str:
        """Build an image from a module.

        Args:
            wasm: As for :meth:`bundle`.
            variant: The annotation ``module.wasm.image/variant``; None for none.
            **options: As for :meth:`bundle`, except ``mounts``, ``readonly``, ``memory`` and ``extra``, which images
            don't have.

        Returns:
            A reference, as ``oci-archive:/.../image.tar``.

        Raises:
            TypeError: An image doesn't have one of the options.
            WasmociError: As for :meth:`bundle`.
        """
        __tracebackhide__ = True
        _refuse(set(options) & {"mounts", "readonly", "memory", "extra"}, "an image has none; give it to the run")
        annotations = options.pop("annotations", None)
        made = self.bundle(wasm, **options)
        process = made.spec.process
        if process is None:
            raise InvalidBundle(f"{made.path}: has no process")
        program = options.get("program", "/app.wasm")
        target = made.path / "image.tar"
        with images.build(
            made.rootfs / program.lstrip("/"),
            copies=[images.Copy(made.rootfs, "/")],
            destination=program,
            entrypoint=process.args[:1],
            cmd=process.args[1:],
            env=dict(variable.split("=", 1) for variable in process.env),
            workdir=process.cwd,
            annotations=annotations,
            variant=variant,
            compression="none",
        ) as built:
            images.push(built.image, images.parse_target(f"oci-archive:{target}"))
        return f"oci-archive:{target}"

    def workload(self, wasm: Wasm, options: Mapping[str, Any]) -> Bundle | contextlib.AbstractContextManager[Bundle]:
        """Yield the bundle to run, newly built or made from an existing bundle or image.

        Args:
            wasm: See :data:`Wasm`.
            options: As for :meth:`bundle`; for an existing bundle or image only ``args``, ``env``, ``cwd``, ``mounts``
            and ``readonly``.

        Raises:
            TypeError: One of the options can't be changed in an existing bundle or image.
            WasmociError: It can't be built, or doesn't exist.
        """
        program = self._program(wasm)
        if program is not None:
            return self._write(program, options)
        _refuse(set(options) - set(_WISHES), "the bundle or image is there; give it where it is built")
        wishes = {_WISHES[name]: value for name, value in options.items()}
        if "volumes" in wishes:
            wishes["volumes"] = [_volume(*bind_mount(mount)) for mount in several_mounts(wishes["volumes"])]
        return opened(GuestOptions(self._existing(wasm), **wishes))

    def _write(self, program: Content, options: Mapping[str, Any]) -> Bundle:
        for name in options:
            if name not in _OPTIONS:
                raise WrongOption(f"{name}: there is no such option; one of {', '.join(_OPTIONS)} was expected")
        return bundle(self._new_directory(), program, **options)

    def copy(self, original: Bundle) -> Bundle:
        """Copy a bundle with its root file system and the sources of its writable bind mounts."""
        target = self._new_directory()
        rootfs = target / "rootfs"
        _copy(original.rootfs, rootfs)
        writable = {
            mount.destination: mount
            for mount in plan(original.spec, original.rootfs).mounts
            if mount.source is not None and not mount.read_only
        }
        mounts = []
        for number, mount in enumerate(original.spec.mounts):
            found = writable.get("/" + "/".join(part for part in mount.destination.split("/") if part not in ("", ".")))
            if found is not None and found.source is not None:
                source = target / f"mount{number}"
                _copy(found.source, source)
                mounts.append(attrs.evolve(mount, source=str(source)))
            else:
                mounts.append(mount)
        return attrs.evolve(original, spec=attrs.evolve(original.spec, mounts=tuple(mounts)), rootfs=rootfs)

    def _program(self, wasm: Wasm) -> Content | None:
        """Return the module's bytes or path; None for an existing bundle or image."""
        if isinstance(wasm, (bytes, Bundle)):
            return wasm if isinstance(wasm, bytes) else None
        if isinstance(wasm, str) and wasm.lstrip().startswith(("(", ";;")):
            return wasm
        path = self._root / os.fspath(wasm)
        if path.suffix == ".c":
            return self._compile_c(path)
        return path if path.is_file() and (path.suffix == ".wat" or _is_wasm(path)) else None

    def _existing(self, wasm: Wasm) -> str | Bundle:
        if isinstance(wasm, Bundle):
            return wasm
        name = _name(wasm)
        return str(self._root / name) if os.path.lexists(self._root / name) else name


def _is_wasm(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix == ".wasm" or file.read(len(MAGIC)) == MAGIC


def _name(wasm: Wasm) -> str:
    return os.fspath(wasm) if isinstance(wasm, (str, os.PathLike)) else "it"


def _refuse(names: set[str], reason: str) -> None:
    if names:
        raise WrongOption(f"{', '.join(sorted(names))}: {reason}")


def _volume(source: str, destination: str, options: tuple[str, ...]) -> str:
    _refuse(set(options) - {"ro", "rw"}, "a mount of a bundle or an image that is there is ro or rw")
    return ":".join((source, destination, *options))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        try:
            shutil.copytree(source, target, symlinks=True, ignore=_special)
        except RecursionError:
            raise InvalidBundle(f"{source}: is too deep to be copied into a bundle") from None
    else:
        shutil.copyfile(source, target)


def _special(directory: str, names: list[str]) -> list[str]:
    """Leave out sockets, pipes and devices: they can't be copied, and reading one may block forever."""
    modes = {name: (Path(directory) / name).lstat().st_mode for name in names}
    return [
        name for name, mode in modes.items() if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
    ]
