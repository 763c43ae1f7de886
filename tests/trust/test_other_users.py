"""What another user of the host has made, or could change, is neither believed nor acted on, and nothing is made there."""

from __future__ import annotations

import contextlib
import encodings.ascii
import encodings.idna
import errno
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import wasmoci
from tests.image.children import in_child
from tests.image.making import make_layout, member, tar
from tests.support.bundles import write_native_bundle
from tests.support.leak_check import no_descriptor_left
from tests.support.requirements import require
from tests.support.waiting import ended
from wasmoci import compiled
from wasmoci.compiled import directories, entries, eviction, inspection, lock
from wasmoci.errors import StoreError, UnsafePlace
from wasmoci.host import private_paths, temporary_directory, user_namespace
from wasmoci.image import Store, push
from wasmoci.image.content.image import open_file_reference
from wasmoci.image.content.reference import Reference
from wasmoci.image.storage import image_detection, staging
from wasmoci.integration import Outcome, Request, install, plan
from wasmoci.runtime import leftovers, main, native_exec, started_processes, state_directories
from wasmoci.runtime.record import Record, is_valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.heavy

__all__ = ["compiled", "encodings", "entries", "eviction", "image_detection", "inspection", "native_exec"]
"""Imported now: after a change of user the interpreter's own files may be out of reach."""

VICTIM, ATTACKER = 23451, 23452


@pytest.fixture(autouse=True)
def _several_users() -> None:
    require(os.geteuid() == 0 and not user_namespace.inside(), "only root of the host can be several users")


def as_user(user: int, work: Callable[[], None]) -> None:
    """Do something as another user, in a process of its own."""

    def changed() -> None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        os.umask(0o022)
        work()

    assert in_child(changed) == 0


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory like ``/tmp``, in which anybody may make something."""
    path = Path(tempfile.mkdtemp(prefix="wasmoci-test-"))
    path.chmod(0o1777)
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


def listing(path: Path) -> list[tuple[str, int, int]]:
    """Everything beneath a path, with its mode and owner: what must not change."""
    found = [(path, path.lstat()), *((inner, inner.lstat()) for inner in sorted(path.rglob("*")))]
    return [(str(inner), status.st_mode, status.st_uid) for inner, status in found]


def use_store(path: Path) -> None:
    """Open a store."""
    Store(path / "wasmoci")


def use_cache(path: Path) -> None:
    """Open a compile cache."""
    directories.private(path / "wasmoci")


def use_records(path: Path) -> None:
    """Make a container's record."""
    with Record(path / "wasmoci" / "default" / "c").locked(make=True):
        pass


def use_temporary(path: Path) -> None:
    """Make a temporary directory."""
    before = tempfile.tempdir
    tempfile.tempdir = str(path / "wasmoci")
    try:
        with temporary_directory.guest_temporary_directory("test-"):
            pass
    finally:
        tempfile.tempdir = before


USES = {
    "store": (use_store, StoreError),
    "cache": (use_cache, directories.Unusable),
    "records": (use_records, UnsafePlace),
    "temporary": (use_temporary, UnsafePlace),
}


def theirs(path: Path) -> None:
    """The place belongs to somebody else."""
    as_user(ATTACKER, lambda: (path / "wasmoci").mkdir(mode=0o755))


def theirs_above(path: Path) -> None:
    """So does one above it."""
    as_user(ATTACKER, path.mkdir)
    os.chown(path, ATTACKER, ATTACKER)
    (path / "wasmoci").mkdir(mode=0o700)


def their_link(path: Path) -> None:
    """A link of theirs stands for one above it, and leads to a directory of ours."""
    (path.parent / "real" / "wasmoci").mkdir(parents=True, mode=0o700)
    as_user(ATTACKER, lambda: path.symlink_to("real"))


def link_in_its_place(path: Path) -> None:
    """A link of theirs stands for the place."""
    (path / "real").mkdir(mode=0o700)
    as_user(ATTACKER, lambda: (path / "wasmoci").symlink_to(path / "real"))


def dangling_link(path: Path) -> None:
    """A link of theirs stands for the place, and leads to where nothing is yet."""
    as_user(ATTACKER, lambda: (path / "wasmoci").symlink_to(path / "new"))


def writable_by_others(path: Path) -> None:
    """The place is ours, and others may write to one above it."""
    path.mkdir()
    path.chmod(0o777)
    (path / "wasmoci").mkdir(mode=0o700)


def writable_by_group(path: Path) -> None:
    """The same of a group."""
    path.mkdir()
    path.chmod(0o775)


def file_in_its_place(path: Path) -> None:
    """A file, in the place of a directory."""
    as_user(ATTACKER, (path / "wasmoci").touch)


def fifo_in_its_place(path: Path) -> None:
    """A FIFO, which is not to be waited for."""
    as_user(ATTACKER, lambda: os.mkfifo(path / "wasmoci"))


ATTACKS = {
    attack: own
    for own, attacks in {
        True: [theirs_above, their_link, writable_by_others, writable_by_group],
        False: [theirs, link_in_its_place, dangling_link, file_in_its_place, fifo_in_its_place],
    }.items()
    for attack in attacks
}
"""What another user has prepared, and whether it is in a directory of its own or straight in the shared one."""


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("victim", [0, VICTIM], ids=["root", "user"])
def test_places(shared: Path, attack: Callable[[Path], None], use: str, victim: int) -> None:
    """No place is used that another user has made or could change, for anything; nothing is made in it."""
    path = shared / "above" if ATTACKS[attack] else shared
    attack(path)
    for inner in (shared / "real", shared / "real" / "wasmoci"):
        if inner.exists():
            os.chown(inner, victim, victim)
    if attack in (writable_by_others, writable_by_group):
        for inner in (path, *path.iterdir()):
            os.chown(inner, victim, victim)
    before = listing(shared)
    function, kind = USES[use]

    def work() -> None:
        with (
            no_descriptor_left(),
            pytest.raises(kind, match=r"belongs to|others may write|is a link|is not a directory"),
        ):
            function(path)

    as_user(victim, work)
    assert listing(shared) == before


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("victim", [0, VICTIM], ids=["root", "user"])
def test_good_places(shared: Path, use: str, victim: int) -> None:
    """A place of one's own in a shared directory is used, also by a link of one's own above it, and with any umask."""

    def work() -> None:
        os.umask(0)
        for name in ("plain", "above/linked"):
            if use == "temporary":
                (shared / name / "wasmoci").mkdir(parents=True, mode=0o700)
                for made_by_it in (shared / name.partition("/")[0], shared / name):
                    made_by_it.chmod(0o755)
            USES[use][0](shared / name)
            USES[use][0](shared / name)
        (shared / "link").symlink_to(shared / "above")
        USES[use][0](shared / "link" / "linked")

    as_user(victim, work)


PARTS = ["images", "images/blobs", "images/blobs/sha256", "rootfs", "run", "partial"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("how", ["theirs", "writable", "link"])
def test_parts_of_the_store(shared: Path, part: str, how: str) -> None:
    """A store that once was another's, or open to others, isn't used with what may be in it since."""
    store = Store(shared / "store").path
    if how == "link":
        (store / part).rename(shared / "moved")
        (store / part).symlink_to(shared / "moved")
    elif how == "theirs":
        os.chown(store / part, ATTACKER, ATTACKER)
    else:
        (store / part).chmod(0o777)
    with no_descriptor_left(), pytest.raises(StoreError, match=part):
        Store(store)


def spoil(file: Path, how: str) -> None:
    """Put something else in the place of a file."""
    content = file.read_bytes()
    if how == "theirs":
        os.chown(file, ATTACKER, ATTACKER)
    elif how == "writable":
        file.chmod(0o666)
    elif how == "hard link":
        os.link(file, file.with_name("another"))
    else:
        file.unlink()
        if how == "link":
            file.with_name("real").write_bytes(content)
            file.symlink_to("real")
        elif how == "directory":
            file.mkdir()
        else:
            os.mkfifo(file)


SPOILT = ["theirs", "writable", "hard link", "link", "fifo", "directory"]


@pytest.mark.parametrize("name", ["index.json", "oci-layout"])
@pytest.mark.parametrize("how", SPOILT)
def test_files_of_the_store(shared: Path, name: str, how: str) -> None:
    """So with the files that are believed without a digest; a FIFO isn't waited for."""
    store = Store(shared / "store").path
    spoil(store / "images" / name, how)
    with no_descriptor_left(), pytest.raises(StoreError, match=name):
        Store(store)


def test_the_command(shared: Path) -> None:
    """Root gets an error and no traceback for a store that somebody else has made first, by whichever command."""
    theirs(shared)
    environment = {**os.environ, "WASMOCI_STORE": str(shared / "wasmoci")}
    for arguments in (["images"], ["prune"], ["run", "image"], ["pull", "oci:/nowhere", "-t", "x"]):
        command = [sys.executable, "-m", "wasmoci", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 125
        assert f"{shared}/wasmoci: belongs to the user {ATTACKER}, not to 0" in done.stderr
        assert "Traceback" not in done.stderr
    assert list((shared / "wasmoci").iterdir()) == []


def test_a_tmpfs(shared: Path, guest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest isn't given a tmpfs that another user could replace."""
    from wasmoci.testing import bundle  # noqa: PLC0415

    (shared / "tmp").mkdir()
    (shared / "tmp").chmod(0o777)
    monkeypatch.setattr("tempfile.tempdir", str(shared / "tmp"))
    mounts = [{"destination": "/t", "type": "tmpfs", "source": "tmpfs"}]
    with pytest.raises(UnsafePlace, match="TMPDIR") as caught:
        wasmoci.run(bundle(shared / "bundle", guest("hello"), directories=["/t"], mounts=mounts))
    assert caught.value.exit_status == 125


# Records.


def document(**changes: Any) -> dict[str, Any]:
    """A record as ``create`` writes it."""
    return {
        "version": 1,
        "maker": 1,
        "mark": "0" * 32,
        "status": "creating",
        "bundle": "/b",
        "command": ["runc", "create", "c"],
        "classification": {},
        "engine": "wasmtime",
        "named": None,
        "annotations": {},
        "process": None,
        "cgroup": None,
        **changes,
    }


@pytest.mark.parametrize("how", SPOILT)
def test_records(shared: Path, how: str) -> None:
    """A record that isn't a file of one's own is an error, and not waited for."""
    record = Record(shared / "wasmoci" / "default" / "c")
    with record.locked(make=True):
        record.write(document())
    assert record.read() == document()
    spoil(record.directory / "record.json", how)
    with no_descriptor_left(), pytest.raises(UnsafePlace, match=r"record\.json"):
        record.read()


@pytest.mark.parametrize(
    "changes",
    [
        *({name: 5.5} for name in document()),
        *({"version": version} for version in (0, 2, True)),
        *({"command": command} for command in ([1], [["a"]], "runc")),
        {"mark": None},
    ],
    ids=str,
)
def test_records_of_another_form(shared: Path, changes: dict[str, Any]) -> None:
    """A record that no command has written is none."""
    assert is_valid(document())
    record = Record(shared / "wasmoci" / "default" / "c")
    with record.locked(make=True):
        record.write(document(**changes))
        assert record.read() == {}


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, '{"version": 1}', "\xff"])
def test_records_that_are_none(shared: Path, text: str) -> None:
    """So is one that is cut off or damaged."""
    record = Record(shared / "wasmoci" / "default" / "c")
    with record.locked(make=True):
        (record.directory / "record.json").write_text(text, encoding="latin-1")
        (record.directory / "record.json").chmod(0o600)
        assert record.read() == {}
        record.write(document())
        assert record.read() == document()


@contextlib.contextmanager
def sleeping(**variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose command line anybody could know."""
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, **variables}
    ) as it:
        try:
            while Path(f"/proc/{it.pid}/cmdline").read_bytes().split(b"\0")[1:2] != [b"-c"]:
                time.sleep(0.01)
            yield it
        finally:
            it.kill()


def command_of(process: subprocess.Popen[bytes]) -> list[str]:
    """Its command line, as a record would have it."""
    return os.fsdecode(Path(f"/proc/{process.pid}/cmdline").read_bytes()).split("\0")[:-1]


def test_delete_with_a_record_of_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that another user has put to where the victim's would be gets no process of the victim's killed."""
    base = Path(f"/tmp/wasmoci-{VICTIM}")
    require(not base.exists(), f"{base} has to be free")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    calls = "delete --force c", "state c", "exec c /x"
    try:
        with sleeping() as process:
            command = command_of(process)

            def attack() -> None:
                (base / "default" / "c" / "root").mkdir(parents=True)
                (base / "default" / "c" / "record.json").write_text(json.dumps(document(command=command)))
                for path in (base, *base.rglob("*")):
                    path.chmod(0o777)

            as_user(ATTACKER, attack)
            before = listing(base)
            # Root of the tests may write to /run, which an ordinary user may not.
            for words in calls:
                arguments = ["wasmoci-runtime", "--native-runtime", "/bin/true", *words.split()]
                as_user(VICTIM, lambda arguments=arguments: os._exit(main.main(arguments)))  # type: ignore[misc]
                assert process.poll() is None, words
            assert listing(base) == before
            os.chown(base, VICTIM, VICTIM)  # as after a mistake of an administrator's: then it isn't passed over
            for words in calls:
                arguments = ["wasmoci-runtime", "--native-runtime", "/bin/true", *words.split()]

                def work(arguments: list[str] = arguments) -> None:
                    assert main.main(arguments) == 125

                as_user(VICTIM, work)
                assert process.poll() is None, words
    finally:
        subprocess.run(["rm", "-rf", base], check=True)


def test_only_marked_processes_are_killed() -> None:
    """Of two with the same command line, what a killed ``create`` has started is killed, and the other one isn't."""
    mark = started_processes.mark()
    assert len(mark) == 32
    with sleeping() as innocent, sleeping(**{started_processes.VARIABLE: started_processes.mark()}) as another:
        with sleeping(**{started_processes.VARIABLE: mark}) as meant:
            found = document(command=command_of(meant), mark=mark)
            leftovers._kill_makers(document(command=["something", "else"], mark=mark))
            assert meant.poll() is None
            leftovers._kill_makers(found)
            assert ended(meant.pid)
        leftovers._kill_makers(document(command=command_of(innocent)))
        leftovers._kill_makers({})
        assert [process.poll() for process in (innocent, another)] == [None, None]


def test_a_process_that_is_gone() -> None:
    """A process id that is nobody's is no error."""
    process = subprocess.Popen(["true"])
    process.wait()
    assert started_processes.kill(process.pid, lambda _: True)


def test_nothing_is_known_of_another_users_directory(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the whole directory is another's, or a link, there is no container of ours."""
    monkeypatch.setattr(state_directories, "base", lambda: str(shared / "wasmoci"))
    assert not state_directories.exist()
    (shared / "wasmoci").mkdir()
    assert state_directories.exist()
    os.chown(shared / "wasmoci", ATTACKER, ATTACKER)
    assert not state_directories.exist()
    (shared / "wasmoci").rmdir()
    (shared / "wasmoci").symlink_to("/")
    assert not state_directories.exist()


@pytest.mark.parametrize("how", ["theirs", "writable"])
def test_configuration(shared: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Root doesn't run the program that another user's file names, as with ``sudo``, unless it names the file itself."""
    file = shared / "wasmoci" / "config.toml"
    file.parent.mkdir()
    file.write_text('native_runtime = "/bin/false"\n', encoding="utf-8")
    monkeypatch.delenv("WASMOCI_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(shared))
    assert native_exec.settings() == {"native_runtime": "/bin/false"}
    spoil(file, how)
    with pytest.raises(wasmoci.InvalidConfiguration, match=r"belongs to|others may write"):
        native_exec.settings()
    with pytest.raises(wasmoci.InvalidConfiguration):
        wasmoci.Settings.load()
    monkeypatch.setenv("WASMOCI_CONFIG", str(file))
    assert native_exec.settings() == {"native_runtime": "/bin/false"}


def test_sockets_have_no_names(guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """What processes of ours talk through can't be reached by anybody else: no socket has a path or an abstract name."""
    others = descendants(os.getpid())  # what other tests have started, such as daemons
    with wasmoci.start(make_bundle(guest("sleep"), args=["60"])) as started:
        processes = {os.getpid(), started.pid} | (descendants(os.getpid(), started.pid) - others)
        assert len(processes) > 1
        sockets = {inode for process in processes for inode in sockets_of(process)}
    assert sockets
    for line in Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()[1:]:
        words = line.split()
        assert words[6] not in sockets or len(words) == 7, line


def descendants(*processes: int) -> set[int]:
    """The children of processes, and theirs."""
    found, new = set[int](), set(processes)
    while new:
        new = {child for process in new for child in children(process)} - found
        found |= new
    return found


def children(process: int) -> set[int]:
    """The children of a process."""
    with contextlib.suppress(OSError):
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        return {int(word) for task in tasks for word in task.read_text(encoding="ascii").split()}
    return set()


def sockets_of(process: int) -> set[str]:
    """The inodes of a process's sockets."""
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(descriptor.readlink()))
    return {text[len("socket:[") : -1] for text in found if text.startswith("socket:[")}


# Locks, and what is swept.


def test_locks_are_not_waited_for(shared: Path) -> None:
    """A FIFO in the place of a lock file or of a directory that is to be held is an error at once."""
    os.mkfifo(shared / "fifo")
    with no_descriptor_left():
        with pytest.raises(OSError, match="is not a regular file"), staging.locked(shared / "fifo"):
            pass
        with staging.hold(shared / "fifo", wait=False):
            pass
        descriptor = os.open(shared, os.O_RDONLY)
        try:
            with pytest.raises(UnsafePlace, match="is not a regular file"):
                os.close(private_paths.open_file("fifo", descriptor, os.O_RDWR | os.O_CREAT))
            with pytest.raises(OSError, match="is not a regular file") as caught, lock.lock(descriptor, "fifo"):
                pass
            assert caught.value.errno == errno.EPERM
        finally:
            os.close(descriptor)


def test_what_others_leave_is_not_swept(shared: Path) -> None:
    """In a shared directory only one's own rests are removed, whatever others have given the name of one."""
    ours, of_others = shared / ".wasmoci-x.0123456789ab", shared / ".wasmoci-x.ba9876543210"
    (ours / "in").mkdir(parents=True)

    def attack() -> None:
        (of_others / "in").mkdir(parents=True)
        of_others.chmod(0o755)
        (shared / ".wasmoci-x.link").symlink_to("/etc")
        os.mkfifo(shared / ".wasmoci-x.fifo")
        (shared / ".wasmoci-x.fifo").chmod(0o666)

    as_user(ATTACKER, attack)
    assert staging.sweep(shared, "x") == 1
    assert not ours.exists()
    assert (of_others / "in").is_dir()
    assert Path("/etc/passwd").exists()


def test_a_swap_while_it_is_checked(shared: Path) -> None:
    """A directory that another user swaps for a link at every moment is never gone through to the link's target."""
    target = shared / "target"
    target.mkdir(mode=0o700)
    script = (
        "import os, sys\nos.setgid(23452); os.setuid(23452)\nos.chdir(sys.argv[1])\nprint('ready', flush=True)\n"
        "while True:\n os.symlink('target', 'x')\n os.unlink('x')\n os.mkdir('x')\n os.rmdir('x')\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, shared], stdout=subprocess.PIPE) as attacker:
        assert attacker.stdout is not None
        attacker.stdout.readline()
        try:
            for _ in range(2000):
                with contextlib.suppress(UnsafePlace, OSError), no_descriptor_left():
                    private_paths.directory(shared / "x" / "wasmoci")
            assert attacker.poll() is None or (shared / "x").stat().st_uid == 0
        finally:
            attacker.kill()
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("whose", ["directory", "link", "chain"])
def test_configuration_in_the_home_of_another_user(whose: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root with somebody else's ``HOME`` makes and changes no file that this one has chosen by a link."""
    home, target, own = shared / "home", shared / "target", shared / "own.json"
    file = home / ".config" / "docker" / "daemon.json"
    file.parent.mkdir(parents=True)
    if whose == "chain":
        file.symlink_to(own)
        own.symlink_to(target)
        os.lchown(own, ATTACKER, ATTACKER)
    else:
        file.symlink_to(target)
        os.lchown(home if whose == "directory" else file, ATTACKER, ATTACKER)
    monkeypatch.setenv("HOME", str(home))
    for text in (None, "{}\n"):
        if text is not None:
            target.write_text(text)
        request = Request(runtime=Path("/usr/bin/wasmoci-runtime"), home=home)
        with pytest.raises(UnsafePlace, match=f"belongs to the user {ATTACKER}"):
            install(plan("docker", request))
        assert (target.read_text() if target.exists() else None) == text
    assert {path.name for path in shared.iterdir()} <= {"home", "target", "own.json"}


def test_configuration_by_links_of_ones_own(shared: Path) -> None:
    """A link of the user's own is followed, as those who keep their configuration elsewhere have it."""
    home, kept = shared / "home", shared / "kept"
    (home / ".config").mkdir(parents=True)
    kept.mkdir(mode=0o775)
    kept.chmod(0o775)  # as on a system on which each user has a group
    (home / ".config" / "docker").symlink_to("../../kept")
    request = Request(runtime=Path("/usr/bin/wasmoci-runtime"), home=home)
    assert install(plan("docker", request)).outcome is Outcome.WRITTEN
    before = os.umask(0)
    try:
        install(plan("podman", request))
    finally:
        os.umask(before)
    made = home / ".config" / "containers"
    assert not [path for path, mode, _ in listing(made) if mode & 0o022]
    assert "wasmoci" in (kept / "daemon.json").read_text()


@pytest.mark.parametrize("made", ["layout", "link", "algorithm", "open"])
def test_image_is_not_written_where_another_user_leads(made: str, shared: Path, tmp_path: Path) -> None:
    """Blobs are whole files in the words of an image's author: they go through no directory and no link that others have made."""
    layout, elsewhere = shared / "layout", shared / "elsewhere"
    elsewhere.mkdir()
    (layout / "blobs").mkdir(parents=True)
    name = "sha512" if made == "algorithm" else "sha256"
    if made == "open":
        layout.chmod(0o777)
    else:
        (layout / "blobs" / name).symlink_to(elsewhere)
    if made == "layout":
        os.chown(layout, ATTACKER, ATTACKER)
    before = listing(shared)
    image = open_file_reference(Reference("oci", str(make_layout(tmp_path / "image", tar(member("etc", "dir")))), ""))
    with image, pytest.raises(UnsafePlace, match=r"write to it|belongs to|is not a directory"):
        push(image, Reference("oci", str(layout), ""))
    assert listing(shared) == before


@pytest.mark.parametrize("mask", [0o022, 0o000])
def test_image_is_written_again_to_a_layout_of_ones_own(mask: int, shared: Path, tmp_path: Path) -> None:
    """Its own layout is written to again, also by a link to it, and is never open to all."""
    before = os.umask(mask)
    (shared / "link").symlink_to("layout")
    image = open_file_reference(Reference("oci", str(make_layout(tmp_path / "image", tar(member("etc", "dir")))), ""))
    try:
        with image:
            for _ in range(2):
                push(image, Reference("oci", str(shared / "layout"), ""))
                push(image, Reference("oci", str(shared / "link"), "other"))
    finally:
        os.umask(before)
    assert not [path for path, mode, _ in listing(shared / "layout") if mode & 0o022]
    assert (shared / "layout" / "index.json").is_file()


def _native(place: Path, ran: Path) -> None:
    write_native_bundle(place, f"touch {ran}")


def _start(name: str) -> None:
    with wasmoci.start(name):
        pass


def _layout(place: Path, _ran: Path) -> None:
    make_layout(place, tar(member("etc", "dir")))


@pytest.mark.parametrize("put", [_native, _layout])
@pytest.mark.parametrize("name", ["hello", "localhost/hello", "hello:1"])
@pytest.mark.parametrize("way", [wasmoci.run, wasmoci.explain, wasmoci.image.pull, _start])
def test_name_of_an_image_that_another_user_has_taken(
    way: Callable[[str], object],
    name: str,
    put: Callable[[Path, Path], None],
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a directory for all, what is meant for an image of the store isn't what somebody else has put there; a path is."""
    if put is _native and way is wasmoci.image.pull:
        pytest.skip("takes no bundles")
    ran = tmp_path / "ran"
    put(shared / name, ran)
    for path in (shared / name, *(shared / name).parents):
        if path != shared and path.is_relative_to(shared):
            os.chown(path, ATTACKER, ATTACKER)
    monkeypatch.chdir(shared)
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))
    with pytest.raises(UnsafePlace, match=f"belongs to the user {ATTACKER}, and hides an image of that name"):
        way(name)
    assert not ran.exists()
    explained = wasmoci.explain(f"./{name}") if put is _native else wasmoci.image.pull(f"./{name}", name="x")
    assert explained


def test_name_in_the_directory_of_its_owner(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who works in the directory of another user, to which nobody else may write, means what this one has put there."""
    write_native_bundle(shared / "hello", "exit 0")
    shared.chmod(0o755)
    for path in (shared, shared / "hello"):
        os.chown(path, ATTACKER, ATTACKER)
    monkeypatch.chdir(shared)
    assert wasmoci.explain("hello").classification.kind.value == "native"
