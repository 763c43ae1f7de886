"""Turns what a caller passes (a bundle, a path or an image, with options) into a bundle to run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from wasmoci import image as images
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidBundle, InvalidMount, InvalidSpec
from wasmoci.host import private_paths
from wasmoci.oci.bundle import Bundle
from wasmoci.oci.json_reader import Node
from wasmoci.oci.spec import CONFIG, Mount, Process, Root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from wasmoci.options import Environment, GuestOptions


_LAYOUT = "oci-layout"
"""The file that marks a directory as an image layout."""


def opened(options: GuestOptions, *, image: Callable[[], Mapping[str, Any]] = dict) -> AbstractContextManager[Bundle]:
    """A bundle of a bundle or an image, with a caller's wishes over its spec, for as long as the context lasts.

    Args:
        options: What is named, and the wishes.
        image: Called when it is an image: gives more of the options of :func:`wasmoci.image.as_bundle`.

    Raises:
        InvalidBundle: There is neither a bundle nor an image of that name.
        ImageError: The image can't be had, or is damaged.
        InvalidSpec: The spec, or one of the wishes, is wrong.
        InvalidMount: A volume isn't ``HOST:GUEST[:ro]``.
    """
    workload = options.bundle
    bundle = workload if isinstance(workload, Bundle) else _bundle(workload)
    if bundle is not None:
        return contextlib.nullcontext(adapt(bundle, options))
    return _unpacked(
        os.fspath(workload),  # type: ignore[arg-type]
        attrs.evolve(options, args=None, read_only=None),
        args=options.args,
        read_only=options.read_only,
        platform=options.platform,
        **image(),
    )


@contextlib.contextmanager
def _unpacked(reference: str, wishes: GuestOptions, **options: Any) -> Iterator[Bundle]:
    with images.as_bundle(reference, **options) as unpacked:
        yield adapt(unpacked, wishes)


def _bundle(workload: str | os.PathLike[str]) -> Bundle | None:
    """Return the bundle in a directory; None for a reference to an image."""
    unchanged = Bundle.unchanged(workload)
    if unchanged is not None:
        return unchanged
    if _is_image(workload):
        return None
    if not os.path.lexists(workload):
        raise InvalidBundle(
            f"{os.fspath(workload)}: doesn't exist, and no image in the local store has that name",
            hint="name a bundle's directory or an image; one of a registry is got with: wasmoci pull NAME",
        )
    if os.fspath(workload).endswith(".wasm") and os.path.isfile(workload):  # noqa: PTH113
        raise InvalidBundle(
            f"{os.fspath(workload)}: is a module; a bundle's directory or an image was expected",
            hint=f"make an image of it with: wasmoci build {os.fspath(workload)} -t NAME",
        )
    return Bundle.load_shared(workload)


def _is_image(workload: str | os.PathLike[str]) -> bool:
    name = os.fspath(workload)
    if "\0" in name:
        raise InvalidBundle(f"{name!r} has a NUL byte; the path of a bundle, or an image, was expected")
    if os.path.lexists(os.path.join(name, CONFIG)):  # noqa: PTH118  before anything costly is imported
        if os.path.lexists(os.path.join(name, _LAYOUT)):  # noqa: PTH118
            # A bundle's spec is its caller's word, hooks on the host included; nobody means that by an image's directory.
            raise InvalidBundle(
                f"{name}: has {CONFIG} and {_LAYOUT}, and is a bundle and an image at once",
                hint=f"name the image: oci:{name}; or remove {_LAYOUT}, which no bundle has",
            )
        if not os.path.isabs(name):  # noqa: PTH117
            private_paths.check_named(name)
        return False
    return images.looks_like_image(name)


def adapt(bundle: Bundle, options: GuestOptions) -> Bundle:
    """A bundle with a caller's wishes over its spec.

    Raises:
        InvalidSpec: A variable isn't ``NAME=value``, the working directory isn't absolute, or a text can't be one.
        InvalidMount: A volume isn't ``HOST:GUEST[:ro]``.
    """
    args, env, cwd, read_only = options.args, options.env, options.cwd, options.read_only
    if args is None and env is None and cwd is None and read_only is None and not options.volumes:
        return bundle
    spec = bundle.spec
    process = spec.process or Process()
    if args is not None:
        process = attrs.evolve(process, args=(*process.args[:1], *(_text(arg, "args") for arg in args)))
    if env is not None:
        process = attrs.evolve(process, env=_merge(process.env, env))
    if cwd is not None:
        if not _text(cwd, "cwd").startswith("/"):
            raise InvalidSpec(f"found {cwd!r}; an absolute guest path was expected", path="cwd")
        process = attrs.evolve(process, cwd=cwd)
    if process != (spec.process or Process()):
        spec = attrs.evolve(spec, process=process)
    mounts = tuple(_volume(text) for text in options.volumes)
    if mounts:
        spec = attrs.evolve(spec, mounts=spec.mounts + mounts)
    if read_only is not None:
        root = spec.root or Root(path=str(bundle.rootfs))
        spec = attrs.evolve(spec, root=attrs.evolve(root, readonly=read_only))
    return attrs.evolve(bundle, spec=spec)


def _merge(variables: tuple[str, ...], env: Environment) -> tuple[str, ...]:
    given = [f"{name}={value}" for name, value in env.items()] if isinstance(env, Mapping) else list(env)
    merged = {variable.partition("=")[0]: variable for variable in variables}
    for variable in given:
        name, mark, _ = _text(variable, "env").partition("=")
        if not name or not mark:
            raise InvalidSpec(f"found {variable!r}; NAME=value was expected", path="env")
        merged[name] = variable
    return tuple(merged.values())


def _text(value: str, place: str) -> str:
    """Check a text of the caller by the rules for texts in a spec."""
    return Node(value, source=None, path=place).string()


def _volume(text: str) -> Mount:
    source, mark, rest = _text(text, "volumes").partition(":")
    destination, _, mode = rest.partition(":")
    if not source or not mark or not destination.startswith("/") or mode not in ("", "ro", "rw"):
        raise InvalidMount(f"volume {text!r}: HOST:GUEST, HOST:GUEST:ro or HOST:GUEST:rw was expected, GUEST absolute")
    options = ("rbind", mode or "rw")
    return Mount(destination=destination, source=str(Path(source).absolute()), type="bind", options=options)
