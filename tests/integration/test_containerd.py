"""``wasmoci config containerd``: tables in a file that somebody else writes, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.support import RUNTIME, apply, file, toml
from wasmoci.errors import IntegrationError
from wasmoci.integration import Outcome, Request, plan

if TYPE_CHECKING:
    from pathlib import Path

V2 = "io.containerd.grpc.v1.cri"
V3 = "io.containerd.cri.v1.runtime"

DEBIAN = f"""version = 2

# cni from Debian's packages
[plugins]
  [plugins."{V2}"]
    [plugins."{V2}".cni]
      bin_dir = "/usr/lib/cni"
"""
WITH_RUNC = f"""version = 2
[plugins."{V2}".containerd]
  default_runtime_name = "runc"  # the usual one
  snapshotter = "overlayfs"
  [plugins."{V2}".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."{V2}".containerd.runtimes.runc.options]
      SystemdCgroup = true
"""
IN_PARTS = f"""version = 2
[plugins."{V2}".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[debug]
  level = "info"
[plugins."{V2}".containerd]
  snapshotter = "overlayfs"
"""


def runtime(*, systemd: bool = False) -> dict[str, Any]:
    """The runtime, as the document has it."""
    patterns = ["module.wasm.image/variant", "module.wasm.image/variant.*", "run.oci.handler"]
    return {
        "runtime_type": "io.containerd.runc.v2",
        "pod_annotations": patterns,
        "container_annotations": patterns,
        "options": {"BinaryName": str(RUNTIME), "SystemdCgroup": systemd},
    }


def cri(root: Path, plugin: str = V2) -> dict[str, Any]:
    """The CRI plugin's table about containers."""
    found: dict[str, Any] = toml.loads(file(root, "containerd").read_text())["plugins"][plugin]["containerd"]
    return found


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_new_file(tmp_path: Path, content: str | None) -> None:
    """Without a file there is one with a version, our runtime, and runc, whose built-in entry our table hides."""
    path = file(tmp_path, "containerd", content)
    apply("containerd", tmp_path)
    assert toml.loads(path.read_text())["version"] == 2
    assert cri(tmp_path) == {"runtimes": {"wasmoci": runtime(), "runc": {"runtime_type": "io.containerd.runc.v2"}}}


def test_new_file_of_version_3(tmp_path: Path) -> None:
    """Version 3 calls the plugin something else."""
    apply("containerd", tmp_path, config_version=3)
    assert toml.loads(file(tmp_path, "containerd").read_text())["version"] == 3
    assert cri(tmp_path, V3)["runtimes"]["wasmoci"] == runtime()


def test_file_stays_as_it_is(tmp_path: Path) -> None:
    """The tables come behind what is there, of which no byte changes, and a backup is kept."""
    path = file(tmp_path, "containerd", DEBIAN)
    done = apply("containerd", tmp_path)
    assert path.read_text().startswith(DEBIAN)
    assert (done.outcome, done.backup) == (Outcome.CHANGED, path.with_name("config.toml.wasmoci-backup"))
    assert done.backup is not None
    assert done.backup.read_text() == DEBIAN
    document = toml.loads(path.read_text())
    assert document["plugins"][V2].pop("containerd")["runtimes"].keys() == {"runc", "wasmoci"}
    assert document == toml.loads(DEBIAN)


def test_again(tmp_path: Path) -> None:
    """The second time nothing is to do; with another path the tables are replaced where they are."""
    path = file(tmp_path, "containerd", DEBIAN)
    apply("containerd", tmp_path)
    path.write_text(path.read_text() + "\n[debug]\n  level = 'info'\n")
    first = path.read_text()
    assert apply("containerd", tmp_path).outcome is Outcome.UNCHANGED
    apply("containerd", tmp_path, runtime=RUNTIME.parent / "other")
    assert path.read_text() == first.replace(str(RUNTIME), f"{RUNTIME.parent}/other")


def test_two_names(tmp_path: Path) -> None:
    """Each name has tables of its own, and runc stays, whichever is written again."""
    path = file(tmp_path, "containerd", DEBIAN)
    apply("containerd", tmp_path)
    apply("containerd", tmp_path, name="other")
    both = path.read_text()
    assert cri(tmp_path)["runtimes"].keys() == {"runc", "wasmoci", "other"}
    for name in ("wasmoci", "other"):
        assert apply("containerd", tmp_path, name=name).outcome is Outcome.UNCHANGED
    apply("containerd", tmp_path, systemd_cgroup=True)
    assert path.read_text() == both.replace("SystemdCgroup = false", "SystemdCgroup = true", 1)


def test_cgroups_as_for_runc(tmp_path: Path) -> None:
    """The cgroup driver is that of runc, unless it is said."""
    file(tmp_path, "containerd", WITH_RUNC)
    apply("containerd", tmp_path)
    assert cri(tmp_path)["runtimes"]["wasmoci"] == runtime(systemd=True)
    apply("containerd", tmp_path, systemd_cgroup=False)
    assert cri(tmp_path)["runtimes"]["wasmoci"] == runtime(systemd=False)
    assert cri(tmp_path)["runtimes"]["runc"]["options"] == {"SystemdCgroup": True}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (WITH_RUNC, '\n  default_runtime_name = "wasmoci"  # the usual one\n'),
        (WITH_RUNC.replace("\n", "\r\n"), '\n  default_runtime_name = "wasmoci"  # the usual one\n'),
        (
            WITH_RUNC.replace("default_runtime_name", '"default_runtime_name"'),
            '  "default_runtime_name" = "wasmoci"  # the',
        ),
        (
            WITH_RUNC.replace('  default_runtime_name = "runc"  # the usual one\n', ""),
            '  snapshotter = "overlayfs"\ndefault_runtime_name = "wasmoci"\n',
        ),
        (IN_PARTS, '\n  snapshotter = "overlayfs"\ndefault_runtime_name = "wasmoci"\n\n# wasmoci config'),
        (DEBIAN, f'[plugins."{V2}".containerd]\n  default_runtime_name = "wasmoci"\n'),
    ],
)
def test_default(tmp_path: Path, content: str, line: str) -> None:
    """The default is set where it stands, or where its table begins, or in tables of ours; and stays."""
    path = file(tmp_path, "containerd", content)
    apply("containerd", tmp_path, default=True)
    assert line in path.read_text()
    assert cri(tmp_path)["default_runtime_name"] == "wasmoci"
    assert "runc" in cri(tmp_path)["runtimes"]
    assert apply("containerd", tmp_path, default=True).outcome is Outcome.UNCHANGED
    assert apply("containerd", tmp_path).outcome is Outcome.UNCHANGED


@pytest.mark.parametrize("imports", ['["/etc/containerd/conf.d/*.toml"]', '["conf.d/*.toml"]'])
def test_drop_in(tmp_path: Path, imports: str) -> None:
    """Version 3 merges files, so where it imports our drop-in's directory the main file isn't touched."""
    main = file(tmp_path, "containerd", f"version = 3\nimports = {imports}\n")
    before = main.read_text()
    assert apply("containerd", tmp_path, default=True).outcome is Outcome.WRITTEN
    assert main.read_text() == before
    drop_in = toml.loads((tmp_path / "etc/containerd/conf.d/50-wasmoci.toml").read_text())
    assert drop_in["version"] == 3
    assert drop_in["plugins"][V3]["containerd"]["runtimes"]["wasmoci"] == runtime()
    assert drop_in["plugins"][V3]["containerd"]["default_runtime_name"] == "wasmoci"
    assert apply("containerd", tmp_path, default=True).outcome is Outcome.UNCHANGED


@pytest.mark.parametrize(
    "content",
    ['version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n', 'version = 3\nimports = ["/elsewhere/*.toml"]\n'],
)
def test_no_drop_in(tmp_path: Path, content: str) -> None:
    """Before version 3 a drop-in would hide the plugin's whole configuration; elsewhere nobody would read it."""
    assert apply("containerd", tmp_path).outcome is Outcome.WRITTEN
    file(tmp_path, "containerd", content)
    assert apply("containerd", tmp_path).outcome is Outcome.CHANGED
    assert not (tmp_path / "etc/containerd/conf.d").exists()


REFUSALS = [
    ("version = 2\n[plugins\n", 2, "not TOML: "),
    ("version = 2\na = 1\na = 2\n", 3, "not TOML: "),
    ("# old\nversion = 1\n", 2, "the configuration's version is 1"),
    ('disabled_plugins = ["cri"]\n', 1, "the configuration's version is 1"),
    (b"version = 2\n# \xff\n", 2, "not UTF-8"),
    (
        f'version = 2\n\n[plugins."{V2}".containerd.runtimes.wasmoci]\n  runtime_type = "mine"\n',
        3,
        "another runtime 'wasmoci' exists already",
    ),
    (f'version = 2\nplugins = {{ "{V2}" = {{ }} }}\n', 2, "the runtime can't be added"),
    (f'version = 2\n[plugins."{V2}"]\ncontainerd = {{ snapshotter = "x" }}\n', 3, "the runtime can't be added"),
]


@pytest.mark.parametrize(("content", "line", "message"), REFUSALS)
def test_refused(tmp_path: Path, content: str | bytes, line: int, message: str) -> None:
    """A file that can't be read, or not be changed safely, is named with the line, and stays."""
    path = file(tmp_path, "containerd", content)
    before = path.read_bytes()
    with pytest.raises(IntegrationError) as caught:
        apply("containerd", tmp_path)
    assert str(caught.value).startswith(f"{path}: line {line}: {message}")
    assert (caught.value.source, caught.value.line) == (str(path), line)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_other_version_is_asked_for(tmp_path: Path) -> None:
    """The version of a file isn't changed."""
    file(tmp_path, "containerd", DEBIAN)
    with pytest.raises(IntegrationError, match="version is 2, and 3 was asked for"):
        apply("containerd", tmp_path, config_version=3)


def test_same_runtime_by_hand(tmp_path: Path) -> None:
    """Tables that somebody added by hand, as they are printed, are enough."""
    content = "version = 2\n" + plan("containerd", Request(runtime=RUNTIME, root=tmp_path)).fragment
    file(tmp_path, "containerd", content)
    assert apply("containerd", tmp_path).outcome is Outcome.UNCHANGED


def test_text_that_only_looks_like_tables(tmp_path: Path) -> None:
    """A string of several lines with a table's header in it leads nobody astray."""
    content = f'version = 2\nnote = """\n[plugins."{V2}".containerd]\ndefault_runtime_name = "x"\n"""\n'
    path = file(tmp_path, "containerd", content)
    apply("containerd", tmp_path, default=True)
    assert path.read_text().startswith(content)
    assert cri(tmp_path)["default_runtime_name"] == "wasmoci"


def test_lines_in_our_part(tmp_path: Path) -> None:
    """Keys that somebody added to our tables from outside keep them from being replaced."""
    path = file(tmp_path, "containerd", DEBIAN)
    apply("containerd", tmp_path)
    path.write_text(path.read_text() + '  Root = "/x"\n')
    with pytest.raises(IntegrationError, match="can't be added"):
        apply("containerd", tmp_path, systemd_cgroup=True)


@pytest.mark.parametrize("disabled", ["cri", V2])
def test_disabled_plugin_is_told(tmp_path: Path, disabled: str) -> None:
    """Docker's packages turn the CRI plugin off, which would surprise."""
    file(tmp_path, "containerd", f'version = 2\ndisabled_plugins = ["{disabled}"]\n')
    assert "turns the CRI plugin off" in plan("containerd", Request(runtime=RUNTIME, root=tmp_path)).notes[0]


def test_for_a_user(tmp_path: Path) -> None:
    """Rootless containerd has its configuration in the home directory."""
    planned = plan("containerd", Request(runtime=RUNTIME, home=tmp_path))
    assert planned.path == tmp_path / ".config/containerd/config.toml"
    assert "systemctl --user restart containerd" in planned.notes[0]
