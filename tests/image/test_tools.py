"""With the real ones: images that Buildah builds, Podman saves, Skopeo copies and umoci unpacks, and theirs of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.image.making import finish as finish_layout
from tests.image.making import make_layout, member, put_image, tar
from tests.image.tools import Tools, real_registry
from tests.support.requirements import require
from wasmoci.errors import ImageNotFound, RegistryDenied, RegistryError
from wasmoci.image import (
    Credential,
    RegistryOptions,
    Store,
    as_bundle,
    build,
    build_artifact,
    open_image,
    parse_target,
    pull,
    push,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.real,
    pytest.mark.smoke,
    pytest.mark.skipif(os.geteuid() != 0, reason="the tools keep owners only as root"),
]

# me:pass, by bcrypt
USERS = "me:$2a$04$cYbF4m7S1g8gRvCJvGTBFuqYGO5pShhxiN/atsjkHLBTBrh7cNKtK\n"


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    """The tools, with a storage for all tests."""
    made = Tools(tmp_path_factory.mktemp("tools"))
    yield made
    if shutil.which("podman"):
        made.run("podman", "system", "reset", "--force", check=False)


@pytest.fixture(scope="session")
def hello(tools: Tools, guest: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The seed image: ``FROM scratch``, a module and a ``CMD``, built by Buildah with the annotation."""
    context = tmp_path_factory.mktemp("context")
    shutil.copy(guest("hello"), context / "hello.wasm")
    recipe = (
        'FROM scratch\nCOPY hello.wasm /\nENV A=b\nLABEL l=1 org.opencontainers.image.title=1\nCMD ["/hello.wasm"]\n'
    )
    tools.build(recipe, "localhost/hello:1", context, "--annotation", "module.wasm.image/variant=compat")
    return "localhost/hello:1"


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))


def check_hello(reference: str, module: Path, **options: Any) -> None:
    """Check that a reference gives the seed image's bundle."""
    with as_bundle(reference, **options) as bundle:
        assert bundle.spec.process is not None
        assert bundle.spec.process.args == ("/hello.wasm",)
        assert "A=b" in bundle.spec.process.env
        assert bundle.spec.annotations["module.wasm.image/variant"] == "compat"
        assert (bundle.rootfs / "hello.wasm").read_bytes() == module.read_bytes()


def test_saved_by_podman(tools: Tools, hello: str, guest: Callable[..., Path], tmp_path: Path) -> None:
    """What Buildah built and Podman saved as an archive is read, and so is Skopeo's copy as a layout."""
    tools.run("podman", "save", "--quiet", "--format=oci-archive", "-o", tmp_path / "a.tar", hello)
    check_hello(f"oci-archive:{tmp_path}/a.tar", guest("hello"))
    check_hello(f"{tmp_path}/a.tar", guest("hello"))
    tools.run("skopeo", "copy", "--quiet", f"oci-archive:{tmp_path}/a.tar", f"oci:{tmp_path}/layout:v1")
    check_hello(f"oci:{tmp_path}/layout:v1", guest("hello"))


def test_docker_archive(tools: Tools, hello: str, guest: Callable[..., Path], tmp_path: Path) -> None:
    """So is Docker's archive, which has no annotations to lose."""
    tools.run("podman", "save", "--quiet", "--format=docker-archive", "-o", tmp_path / "a.tar", hello)
    with as_bundle(f"docker-archive:{tmp_path}/a.tar:{hello}", read_only=True) as bundle:
        assert (bundle.rootfs / "hello.wasm").read_bytes() == guest("hello").read_bytes()
        assert bundle.spec.annotations["org.opencontainers.image.title"] == "1"
        assert "l" not in bundle.spec.annotations
        assert bundle.image is not None
        assert {"l", "io.buildah.version"} <= {*bundle.image.left_out}


def test_containers_storage(
    tools: Tools, hello: str, guest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Podman's own storage is read through Skopeo, and a name that it doesn't have is not found."""
    require(shutil.which("skopeo"), "skopeo is missing: apt install skopeo")
    for name in ("HOME", "CONTAINERS_STORAGE_CONF"):
        monkeypatch.setenv(name, tools.environment[name])
    check_hello(f"containers-storage:{hello}", guest("hello"))
    with pytest.raises(ImageNotFound, match="skopeo"), open_image("containers-storage:localhost/missing"):
        pass


def test_registry(tools: Tools, hello: str, guest: Callable[..., Path], tmp_path: Path) -> None:
    """A real registry: what Skopeo pushes is pulled, what is pushed is what Skopeo and Podman get."""
    plain = RegistryOptions(plain_http=True)
    with real_registry(tmp_path / "registry") as host:
        tools.run(
            "skopeo",
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
            f"containers-storage:{hello}",
            f"docker://{host}/hello:1",
        )
        check_hello(f"docker://{host}/hello:1", guest("hello"), registry=plain)
        with open_image(f"{host}/hello:1") as image:
            push(image, parse_target(f"docker://{host}/again:2"), options=plain)
            found = json.loads(tools.run("skopeo", "inspect", "--tls-verify=false", f"docker://{host}/again:2").stdout)
            assert found["Digest"] == image.digest
            tools.run("podman", "pull", "--quiet", "--tls-verify=false", f"{host}/again@{image.digest}")
        with pytest.raises(RegistryError, match="404"):
            pull(f"{host}/nothing", registry=plain)


def test_registry_with_everything(tools: Tools, guest: Callable[..., Path], tmp_path: Path) -> None:
    """A registry with TLS and a password: who doesn't believe it or has none is told so, who does gets in."""
    with (
        real_registry(tmp_path / "registry", tls=True, users=USERS) as host,
        build(guest("hello"), destination="/hello.wasm") as built,
    ):
        target = parse_target(f"docker://{host}/hello:1")
        good = RegistryOptions(ca_file=tmp_path / "registry" / "ca.pem", credential=Credential("me", "pass"), retries=0)
        push(built.image, target, options=good)
        assert pull(f"{host}/hello:1", registry=good).descriptor.digest == built.image.digest
        for wrong, kind, words in (
            (RegistryOptions(retries=0, credential=good.credential), RegistryError, "--ca-file"),
            (RegistryOptions(retries=0, ca_file=good.ca_file), RegistryDenied, "podman login"),
            (
                RegistryOptions(retries=0, ca_file=good.ca_file, credential=Credential("me", "x")),
                RegistryDenied,
                "log in",
            ),
        ):
            with pytest.raises(kind) as caught:
                pull(f"{host}/hello:1", registry=wrong)
            assert words in (caught.value.hint or "")
        # The credentials that Podman's login writes, and a certificate that nobody checks.
        tools.run("podman", "login", "--tls-verify=false", "-u", "me", "-p", "pass", host)
        login = RegistryOptions(insecure=True, authfile=tools.directory / "auth.json")
        assert pull(f"{host}/hello:1", registry=login).descriptor.digest == built.image.digest


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_ours_at_theirs(tools: Tools, guest: Callable[..., Path], tmp_path: Path, compression: str) -> None:
    """Images of ours are inspected by Skopeo, loaded by Podman and taken by Buildah as a base."""
    with build(
        guest("hello"), destination="/hello.wasm", env={"A": "b"}, cmd=["x"], labels={"l": "1"}, compression=compression
    ) as built:
        push(built.image, parse_target(f"oci-archive:{tmp_path}/a.tar:localhost/ours:{compression}"))
        digest, diff_id = built.image.digest, built.image.config.diff_ids[0]
    found = json.loads(tools.run("skopeo", "inspect", f"oci-archive:{tmp_path}/a.tar").stdout)
    assert (found["Digest"], found["Os"], found["Architecture"], found["Env"]) == (digest, "wasi", "wasm", ["A=b"])
    loaded = tools.run("podman", "load", "--quiet", "-i", tmp_path / "a.tar").stdout
    assert f"localhost/ours:{compression}" in loaded
    seen = json.loads(tools.run("podman", "image", "inspect", f"localhost/ours:{compression}").stdout)[0]
    assert seen["Annotations"] == {"module.wasm.image/variant": "compat"}
    assert (seen["Config"]["Entrypoint"], seen["RootFS"]["Layers"]) == (["/hello.wasm"], [diff_id])
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "more").write_text("more")
    recipe = f"FROM localhost/ours:{compression}\nCOPY more /\n"
    tools.build(recipe, "localhost/more", tmp_path / "context", "--platform=wasi/wasm")


def test_run_by_podman(tools: Tools, guest: Callable[..., Path], tmp_path: Path) -> None:
    """Podman makes a container of an image of ours: its runtime is handed the module, the arguments and the annotation."""
    require(shutil.which("runc"), "runc is missing: apt install runc")
    seen = tmp_path / "seen.json"
    runtime = tmp_path / "runtime"
    # A runtime that keeps what it is given and then says no: which engine runs it is not this test's matter.
    runtime.write_text(
        "#!/bin/sh\n"
        'bundle=; previous=; for word in "$@"; do [ "$previous" = --bundle ] && bundle=$word; previous=$word; done\n'
        f'[ -n "$bundle" ] && cp "$bundle/config.json" {seen} && exit 1\nexec runc "$@"\n'
    )
    runtime.chmod(0o755)
    with build(guest("hello"), destination="/hello.wasm", cmd=["given"]) as built:
        push(built.image, parse_target(f"oci-archive:{tmp_path}/a.tar:localhost/run:1"))
    tools.run("podman", "load", "--quiet", "-i", tmp_path / "a.tar")
    command = ["podman", "--runtime", runtime, "--cgroup-manager=cgroupfs", "run", "--rm", "--network=none"]
    done = tools.run(*command, "localhost/run:1", "asked", check=False)
    assert seen.exists(), done.stderr
    spec = json.loads(seen.read_text())
    assert spec["process"]["args"] == ["/hello.wasm", "asked"]
    assert spec["annotations"]["module.wasm.image/variant"] == "compat"


def test_artifacts_in_a_registry(tools: Tools, guest: Callable[..., Path], tmp_path: Path) -> None:
    """An artifact of the CNCF's layout goes through a real registry, and Skopeo reads its manifest."""
    plain = RegistryOptions(plain_http=True)
    with real_registry(tmp_path / "registry") as host, build_artifact(guest("hello")) as built:
        push(built.image, parse_target(f"docker://{host}/art:1"), options=plain)
        raw = json.loads(tools.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{host}/art:1").stdout)
        assert raw["config"]["mediaType"] == "application/vnd.wasm.config.v0+json"
        with as_bundle(f"docker://{host}/art:1", registry=plain) as bundle:
            (file,) = bundle.rootfs.iterdir()
            assert file.read_bytes() == guest("hello").read_bytes()


def listing(root: Path) -> dict[str, tuple[Any, ...]]:
    """All that matters of a file system's files."""
    found: dict[str, tuple[Any, ...]] = {}
    inodes: dict[int, str] = {}
    for path in (root, *sorted(root.rglob("*"))):
        status, name = path.lstat(), str(path.relative_to(root))
        content: Any = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        same = inodes.setdefault(status.st_ino, name)
        times = () if name == "." else (status.st_mtime_ns,)
        found[name] = (oct(status.st_mode), status.st_uid, status.st_gid, content, same, *times)
    return found


@pytest.fixture(scope="session")
def busy(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout of an image in which layers replace, remove and link what lower ones have, built by Buildah."""
    context = tmp_path_factory.mktemp("busy")
    (context / "a" / "deep" / "er").mkdir(parents=True)
    for name in ("one", "two", "deep/three", "deep/er/four", "x" * 200, "ümläut", "with space"):
        (context / "a" / name).write_text(name * 100)
    (context / "a" / "deep").chmod(0o1750)
    (context / "a" / "two").chmod(0o4711)
    os.link(context / "a" / "one", context / "a" / "hard")
    (context / "a" / "soft").symlink_to("/a/deep")
    with (context / "a" / "sparse").open("wb") as file:
        file.seek(3_000_000)
        file.write(b"end")
    os.setxattr(context / "a" / "one", "user.key", b"value")
    (context / "b").mkdir()
    (context / "b" / "one").write_text("replaced")
    (context / "b" / "new").symlink_to("one")
    container = tools.run("buildah", "from", "scratch").stdout.strip()
    tools.run("buildah", "add", "--chown", "1:2", container, context / "a", "/a")
    tools.run("buildah", "commit", "--quiet", container, "localhost/busy:1")
    mounted = Path(tools.run("buildah", "mount", container).stdout.strip())
    shutil.rmtree(mounted / "a" / "deep" / "er")
    (mounted / "a" / "with space").unlink()
    (mounted / "a" / "soft").unlink()
    (mounted / "a" / "soft").mkdir()
    shutil.copytree(context / "b", mounted / "b", symlinks=True)
    os.link(mounted / "b" / "one", mounted / "b" / "hard")
    tools.run("buildah", "commit", "--quiet", container, "localhost/busy:2")
    layout = context / "layout"
    tools.run("buildah", "push", "--quiet", "localhost/busy:2", f"oci:{layout}:1")
    return layout


def test_beside_umoci(tools: Tools, busy: Path, tmp_path: Path) -> None:
    """An image that Buildah built is unpacked to the same files as by umoci: modes, owners, times, links, contents."""
    tools.run("umoci", "unpack", "--image", f"{busy}:1", tmp_path / "theirs")
    with open_image(f"oci:{busy}:1") as image:
        unpack(image, tmp_path / "ours")
    assert listing(tmp_path / "ours" / "rootfs") == listing(tmp_path / "theirs" / "rootfs")
    assert os.getxattr(tmp_path / "ours" / "rootfs" / "a" / "hard", "user.key") == b"value"


def test_layers_beside_umoci(tools: Tools, tmp_path: Path) -> None:
    """Layers made by hand, with whiteouts in every place, come out as with umoci."""
    layers = [
        tar(
            member("./", "dir", mode=0o711),
            member("d", "dir", mtime=5),
            member("d/a", data=b"a", mtime=6),
            member("d/sub/deep", data=b"deep", mtime=7),
            member("keep/x", data=b"x", mtime=8),
            member("l", "symlink", link="/d", mtime=9),
            member("dangling", "symlink", link="../../nowhere", mtime=9),
            member("was-file", data=b"f", mtime=9),
            member("was-dir/in", data=b"f", mtime=9),
        ),
        tar(
            member("d/.wh.a"),
            member("d", "dir", mtime=10),  # umoci gives a directory the time of a whiteout in it
            member("d/sub", "dir", mtime=11),
            member("d/sub/.wh..wh..opq"),
            member("d/sub/new", data=b"new", mtime=12),
            member("l/through", data=b"through", mtime=13),
            member("hard", "link", link="keep/x"),
            member("was-file", "dir", mtime=14),
            member("was-dir", data=b"now a file", mtime=15),
            member("keep", "dir", mode=0o700, mtime=16),
        ),
        tar(member(".wh.was-file"), member("l", data=b"now a file", mtime=17), member("x" * 150, mtime=18)),
    ]
    layout = make_layout(tmp_path / "layout", *layers, tag="1")
    tools.run("umoci", "unpack", "--image", f"{layout}:1", tmp_path / "theirs")
    with open_image(f"oci:{layout}:1") as image:
        unpack(image, tmp_path / "ours")
    assert listing(tmp_path / "ours" / "rootfs") == listing(tmp_path / "theirs" / "rootfs")


@pytest.mark.parametrize("runtime", ["runc"])
def test_a_bundle_that_runs(runtime: str, tmp_path: Path) -> None:
    """An unpacked image runs natively: as its user, with its arguments, environment and working directory."""
    require(shutil.which(runtime), f"{runtime} is missing: apt install {runtime}")
    require(shutil.which("gcc"), "gcc is missing: apt install gcc")
    source = tmp_path / "show.c"
    source.write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
        'int main(int c, char **v) { char d[99]; printf("%s %s %s %d %d\\n", v[1], getenv("A"), getcwd(d, 99), getuid(), getgid());'
        " return 7; }\n"
    )
    subprocess.run(["gcc", "-static", "-o", tmp_path / "show", source], check=True)
    layer = tar(
        member("show", data=(tmp_path / "show").read_bytes(), mode=0o755),
        member("srv", "dir"),
        *(member(name, "dir") for name in ("proc", "dev", "sys")),
        member("etc/passwd", data=b"web:x:33:44::/srv:/bin/sh\n"),
    )
    config = {"Entrypoint": ["/show"], "Cmd": ["word"], "Env": ["A=b"], "WorkingDir": "/srv", "User": "web"}
    with open_image(f"oci:{make_layout(tmp_path / 'layout', layer, config=config)}") as image:
        unpack(image, tmp_path / "bundle")
    name = f"wasmoci-test-{os.getpid()}"
    done = subprocess.run(
        [runtime, "--root", tmp_path / "state", "run", "--bundle", tmp_path / "bundle", name],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "word b /srv 33 44\n"), done.stderr


def test_multi_platform_index(tools: Tools, tmp_path: Path) -> None:
    """From an index in a real registry the image for Wasm is taken, as from Buildah's manifest lists."""
    layout = tmp_path / "layout"
    found = []
    for target in (("linux", "amd64"), ("wasi", "wasm")):
        shown = {"platform": {"os": target[0], "architecture": target[1]}}
        found.append(put_image(layout, [tar(member("is", data="/".join(target).encode()))], target=target, **shown))
    finish_layout(layout, *found)
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": found}
    from tests.image.making import put_json  # noqa: PLC0415

    finish_layout(layout, put_json(layout, index, index["mediaType"]))  # type: ignore[arg-type]
    with real_registry(tmp_path / "registry") as host:
        tools.run(
            "skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{host}/multi:1"
        )
        with as_bundle(f"docker://{host}/multi:1", registry=RegistryOptions(plain_http=True)) as bundle:
            assert (bundle.rootfs / "is").read_text() == "wasi/wasm"
        assert str(Store().images()[0].descriptor.platform) == "wasi/wasm"
