"""The runtime spec of an image: what Podman would make of it, with the caller's wishes on top."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.image.making import make_layout, member, tar
from wasmoci.errors import InvalidImage, InvalidMount
from wasmoci.image import Volume, Wishes, as_bundle, open_image, unpack
from wasmoci.image.layers.rootfs import Rootfs
from wasmoci.image.layers.users import User, look_up
from wasmoci.oci.spec import Spec

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:w:/srv:/bin/sh\n"
GROUP = b"root:x:0:\nweb:x:44:\nextra:x:55:web,root\nother:x:66:root\n"
FILES = tar(member("etc/passwd", data=PASSWD), member("etc/group", data=GROUP), member("hello.wasm"))


def spec_of(tmp_path: Path, config: dict[str, Any], wishes: Wishes | None = None, **options: Any) -> Spec:
    """The spec that a bundle of the image has."""
    layout = make_layout(tmp_path / "layout", FILES, config=config, **options)
    with open_image(f"oci:{layout}") as image:
        unpack(image, tmp_path / "bundle", wishes=wishes)
    return Spec.load(tmp_path / "bundle" / "config.json")


@pytest.mark.parametrize(
    ("config", "wishes", "expected"),
    [
        ({"Cmd": ["/a", "b"]}, Wishes(), ("/a", "b")),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, Wishes(), ("/e", "c")),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, Wishes(args=("x",)), ("/e", "x")),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, Wishes(args=()), ("/e",)),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, Wishes(entrypoint=("/f",)), ("/f",)),
        ({"Entrypoint": ["/e"], "Cmd": ["c"]}, Wishes(entrypoint=("/f",), args=("x",)), ("/f", "x")),
        ({"Cmd": ["c"]}, Wishes(args=("/x",)), ("/x",)),
    ],
)
def test_arguments(tmp_path: Path, config: dict[str, Any], wishes: Wishes, expected: tuple[str, ...]) -> None:
    """Entrypoint and Cmd make the arguments; the caller's replace Cmd, as on Podman's command line."""
    process = spec_of(tmp_path, config, wishes).process
    assert process is not None
    assert process.args == expected


def test_nothing_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that doesn't say what to run can be unpacked, and is only run when somebody else says it."""
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))
    process = spec_of(tmp_path, {"Env": []}).process
    assert process is not None
    assert process.args == ()
    with pytest.raises(InvalidImage, match="neither Entrypoint nor Cmd"), as_bundle(f"oci:{tmp_path / 'layout'}"):
        pass
    with as_bundle(f"oci:{tmp_path / 'layout'}", args=["/hello.wasm"]) as bundle:
        assert bundle.spec.process is not None
        assert bundle.spec.process.args == ("/hello.wasm",)


def test_environment(tmp_path: Path) -> None:
    """The image's variables keep their order, the caller's replace or follow them; PATH and HOME are always there."""
    wishes = Wishes(env={"B": "caller", "D": ""})
    process = spec_of(
        tmp_path, {"Cmd": ["/x"], "Env": ["A=a=b", "B=image", "C=", "broken"], "User": "web"}, wishes
    ).process
    assert process is not None
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert process.env == ("A=a=b", "B=caller", "C=", path, "D=", "HOME=/srv")


def test_the_rest_of_the_config(tmp_path: Path) -> None:
    """Working directory, labels, annotations, volumes and the read-only flag all arrive, the caller's over the image's."""
    title, vendor = "org.opencontainers.image.title", "org.opencontainers.image.vendor"
    config = {"Cmd": ["/x"], "WorkingDir": "srv", "Labels": {title: "1", vendor: "label"}, "StopSignal": "SIGUSR1"}
    wishes = Wishes(
        volumes=(Volume("/host", "/guest", read_only=True),), annotations={"mine": "caller"}, read_only=True
    )
    spec = spec_of(tmp_path, config, wishes, annotations={vendor: "manifest", "mine": "image"})
    assert spec.process is not None
    assert spec.root is not None
    assert (spec.process.cwd, spec.root.path, spec.root.readonly) == ("/srv", "rootfs", True)
    mount = spec.mounts[-1]
    assert (mount.source, mount.destination, mount.options) == ("/host", "/guest", ("rbind", "rprivate", "ro"))
    assert spec.annotations == {
        "org.opencontainers.image.os": "linux",
        "org.opencontainers.image.architecture": "amd64",
        "org.opencontainers.image.stopSignal": "SIGUSR1",
        title: "1",
        vendor: "manifest",
        "mine": "caller",
    }


@pytest.mark.parametrize(
    ("target", "annotations", "expected"),
    [
        (("wasi", "wasm"), {}, "compat"),
        (("wasi", "wasm"), {"module.wasm.image/variant": "compat-smart"}, "compat-smart"),
        (("wasi", "wasm"), {"run.oci.handler": "wasm-smart"}, None),
        (("wasi", "wasm"), {"run.oci.handler": "wasmtime"}, "compat"),
        (("wasi", "wasm"), {"module.wasm.image/variant.web": "compat-smart"}, "compat"),
        (("linux", "amd64"), {}, None),
    ],
)
def test_wasm_platforms_are_wasm(
    tmp_path: Path, target: tuple[str, str], annotations: dict[str, str], expected: str | None
) -> None:
    """An image for a Wasm platform is marked as a Wasm workload, unless it says itself how it is to be run."""
    spec = spec_of(tmp_path, {"Cmd": ["/hello.wasm"]}, target=target, annotations=annotations)
    assert spec.annotations.get("module.wasm.image/variant") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", User(0, 0, (55, 66), "/root")),
        ("0", User(0, 0, (55, 66), "/root")),
        ("web", User(33, 44, (55,), "/srv")),
        ("33", User(33, 44, (55,), "/srv")),
        ("web:extra", User(33, 55, (), "/srv")),
        ("web:77", User(33, 77, (), "/srv")),
        ("1000", User(1000, 0, (), "/")),
        ("1000:1001", User(1000, 1001, (), "/")),
        ("nobody", None),
        ("web:nogroup", None),
        ("4294967295", None),
        ("-1", None),
    ],
)
def test_users(tmp_path: Path, text: str, expected: User | None) -> None:
    """Users and groups are looked up in the image's own files, numbers are taken as they are."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_bytes(PASSWD)
    (tmp_path / "etc/group").write_bytes(GROUP)
    fd = os.open(tmp_path, os.O_RDONLY)
    rootfs = Rootfs(fd)
    try:
        if expected is None:
            with pytest.raises(InvalidImage):
                look_up(rootfs, text)
        else:
            assert look_up(rootfs, text) == expected
    finally:
        rootfs.forget()
        os.close(fd)


@pytest.mark.parametrize(
    "link", ["/etc/passwd", "../../../../../../../../../../etc/passwd", "/proc/self/root/etc/passwd"]
)
def test_users_are_not_the_hosts(tmp_path: Path, link: str) -> None:
    """An image's passwd that is a link leads within the image, never to the host's."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to(link)
    fd = os.open(tmp_path, os.O_RDONLY)
    rootfs = Rootfs(fd)
    try:
        assert look_up(rootfs, "0") == User()
    finally:
        rootfs.forget()
        os.close(fd)


def test_a_fifo_for_passwd(tmp_path: Path) -> None:
    """Something else than a file in place of passwd is as good as none, and nobody waits for it."""
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    fd = os.open(tmp_path, os.O_RDONLY)
    rootfs = Rootfs(fd)
    try:
        assert look_up(rootfs, "7") == User(7)
    finally:
        rootfs.forget()
        os.close(fd)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a:/b", Volume("/a", "/b")),
        ("a:/b", Volume(str(Path.cwd() / "a"), "/b")),
        ("/a:/b:ro", Volume("/a", "/b", read_only=True)),
        ("/a:/b:rw,z", Volume("/a", "/b")),
        ("/a", None),
        ("/a:b", None),
        (":/b", None),
        ("/a:/b:wrong", None),
    ],
)
def test_volumes(text: str, expected: Volume | None) -> None:
    """Volumes are read as Podman's ``-v``, with a host path for the source."""
    if expected is None:
        with pytest.raises(InvalidMount, match="expected HOST:GUEST"):
            Volume.parse(text)
    else:
        assert Volume.parse(text) == expected
