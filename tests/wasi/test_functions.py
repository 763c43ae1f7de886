"""Every function writes exactly the bytes that the witx file says, and nothing beside them."""

from __future__ import annotations

import contextlib
import inspect
import os
import struct
from typing import TYPE_CHECKING

import pytest

from tests.wasi.harness import MASK, ROOT, SIZE, ByteMemory, FixedClocks, Guest, ScriptedStream
from wasmoci.errors import InvalidInput
from wasmoci.wasi import FUNCTIONS, MODULES, Errno, Fdflags, Fstflags, Oflags, Preopen, ProcExit, Rights, Wasi

if TYPE_CHECKING:
    from pathlib import Path


def test_modules_are_the_two_names_of_preview_1() -> None:
    """Guests import under either name."""
    assert MODULES == ("wasi_snapshot_preview1", "wasi_unstable")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_exactly_their_parameters(name: str) -> None:
    """Engines that look at a function's signature find the number of parameters that the module imports."""
    with Wasi() as wasi:
        function = wasi.functions()[name]
        assert (function.params, function.results) == FUNCTIONS[name]
        assert len(inspect.signature(function.call).parameters) == len(FUNCTIONS[name].params)


@pytest.mark.parametrize(
    ("name", "arguments", "changes"),
    [
        ("args_sizes_get", (0, 8), {0: b"\2\0\0\0", 8: b"\x08\0\0\0"}),
        ("args_get", (0, 16), {0: struct.pack("<II", 16, 18), 16: b"a\0\xc3\xa9 \xff\xfe\0"}),
        ("environ_sizes_get", (0, 8), {0: b"\2\0\0\0", 8: b"\x0a\0\0\0"}),
        ("environ_get", (0, 16), {0: struct.pack("<II", 16, 23), 16: b"A=b = \0E=\0"}),
        ("clock_res_get", (0, 8), {8: b"\1" + bytes(7)}),
        ("clock_res_get", (1, 8), {8: b"\1" + bytes(7)}),
        ("clock_time_get", (0, 1, 8), {8: struct.pack("<Q", 1_600_000_000_000_001_000)}),
        ("clock_time_get", (1, 0, 8), {8: struct.pack("<Q", 1000)}),
        ("random_get", (8, 5), {8: b"\x05\x05\x05\x05\x05"}),
        ("random_get", (8, 0), {}),
        ("sched_yield", (), {}),
        ("fd_prestat_get", (3, 8), {8: struct.pack("<II", 0, 4)}),
        ("fd_prestat_dir_name", (3, 8, 4), {8: b"/dir"}),
        ("fd_prestat_dir_name", (3, 8, 100), {8: b"/dir"}),
        ("fd_fdstat_get", (0, 8), {8: struct.pack("<BxHxxxxQQ", 0, 0, Rights.STDIN, 0)}),
        ("fd_fdstat_get", (1, 8), {8: struct.pack("<BxHxxxxQQ", 0, 0, Rights.STDOUT, 0)}),
        (
            "fd_fdstat_get",
            (3, 8),
            {8: struct.pack("<BxHxxxxQQ", 3, 0, Rights.DIRECTORY, Rights.DIRECTORY | Rights.FILE)},
        ),
        ("fd_filestat_get", (0, 8), {8: bytes(64)}),
    ],
)
def test_results_are_written_byte_for_byte(
    root: Path, name: str, arguments: tuple[int, ...], changes: dict[int, bytes]
) -> None:
    """What a call doesn't write keeps the mask."""
    with Guest(
        args=["a", "é \udcff\udcfe".encode(errors="surrogateescape")],
        env=[("A", "b = "), ("E", "")],
        preopens=[Preopen(root, "/dir")],
        clocks=FixedClocks(),
        random=lambda size: bytes([size]) * size,
    ) as guest:
        assert guest.name(name, *arguments) == "SUCCESS"
        assert guest.changes() == changes


@pytest.mark.parametrize(
    ("name", "arguments", "size"),
    [
        ("args_sizes_get", lambda p: (p, 0), 4),
        ("args_sizes_get", lambda p: (0, p), 4),
        ("args_get", lambda p: (p, 0), 4),
        ("args_get", lambda p: (0, p), 4),
        ("environ_sizes_get", lambda p: (p, 0), 4),
        ("environ_sizes_get", lambda p: (0, p), 4),
        ("environ_get", lambda p: (p, 0), 4),
        ("environ_get", lambda p: (0, p), 4),
        ("clock_res_get", lambda p: (0, p), 8),
        ("clock_time_get", lambda p: (0, 0, p), 8),
        ("random_get", lambda p: (p, 16), 16),
        ("fd_prestat_get", lambda p: (3, p), 8),
        ("fd_prestat_dir_name", lambda p: (3, p, 100), 1),
        ("fd_fdstat_get", lambda p: (3, p), 24),
        ("fd_filestat_get", lambda p: (3, p), 64),
        ("fd_filestat_get", lambda p: (0, p), 64),
        ("fd_seek", lambda p: (4, 0, 1, p), 8),
        ("fd_tell", lambda p: (4, p), 8),
        ("fd_read", lambda p: (4, 16, 1, p), 4),
        ("fd_write", lambda p: (4, 16, 1, p), 4),
        ("fd_pread", lambda p: (4, 16, 1, 0, p), 4),
        ("fd_pwrite", lambda p: (4, 16, 1, 0, p), 4),
        ("fd_read", lambda p: (4, p, 1, 0), 8),
        ("fd_write", lambda p: (4, p, 1, 0), 8),
        ("fd_read", lambda p: (4, p, 2, 0), 16),
        ("fd_write", lambda p: (4, p, 2, 0), 16),
        ("fd_readdir", lambda p: (3, 0, 0, 0, p), 4),
        ("fd_readdir", lambda p: (3, p, 32, 0, 0), 32),
        ("path_filestat_get", lambda p: (3, 0, 8, 1, p), 64),
        ("path_filestat_get", lambda p: (3, 0, p, 1, 16), 1),
        ("path_open", lambda p: (3, 0, 8, 1, 0, 0, 0, 0, p), 4),
        ("path_open", lambda p: (3, 0, p, 1, 0, 0, 0, 0, 16), 1),
        ("path_readlink", lambda p: (3, 9, 1, p, 1, 16), 1),
        ("path_readlink", lambda p: (3, 9, 1, 0, 1, p), 4),
        ("poll_oneoff", lambda p: (p, 0, 1, 64), 48),
        ("poll_oneoff", lambda p: (128, p, 1, 64), 32),
        ("poll_oneoff", lambda p: (128, 0, 1, p), 4),
    ],
)
def test_the_last_byte_of_memory_can_be_used_and_the_one_after_it_not(
    root: Path, name: str, arguments: object, size: int
) -> None:
    """A record that ends where memory ends is fine; one byte further it is FAULT, and nothing was written anywhere."""
    assert callable(arguments)
    (root / "f").write_text("data")
    (root / "l").symlink_to("f")
    with Guest(root, args=["arg"], env=[("E", "x")]) as guest:
        assert guest.open("f") == 4
        memory = guest.memory.data
        memory[:] = bytes(SIZE)  # all zero: empty buffers, and a clock that is due
        memory[8:10] = b"fl"
        if size == 1:
            memory[-1:] = b"f"  # a path may stand at the very end
        assert guest.name(name, *arguments(SIZE - size)) == "SUCCESS"
        before = bytes(memory)
        assert guest.name(name, *arguments(SIZE - size + 1)) == "FAULT"
        assert guest.name(name, *arguments(-1)) == "FAULT"
        assert bytes(memory) == before


def test_a_guest_without_memory_gets_fault() -> None:
    """Before a memory is bound, every pointer is out of bounds."""
    with Wasi() as wasi:
        assert wasi.functions()["args_sizes_get"].call(0, 4) == Errno.FAULT
        assert wasi.functions()["fd_write"].call(1, 0, 0, 0) == Errno.FAULT


def test_memory_is_fetched_anew_by_each_call() -> None:
    """After memory.grow, the new bytes count."""
    memory = ByteMemory(16)
    with Guest(memory=memory) as guest:
        assert guest.name("clock_time_get", 0, 0, 16) == "FAULT"
        memory.data = bytearray(MASK * 32)
        assert guest.name("clock_time_get", 0, 0, 16) == "SUCCESS"


@pytest.mark.parametrize("code", [0, 1, 126, 255, 256, 0xFFFF_FFFF, -1])
def test_proc_exit_keeps_all_bits(code: int) -> None:
    """The exit code is a whole u32, however the engine hands it over."""
    with Wasi() as wasi, pytest.raises(ProcExit) as exit_:
        wasi.functions()["proc_exit"].call(code)
    assert exit_.value.code == code & 0xFFFF_FFFF


def test_proc_raise_is_not_supported(guest: Guest) -> None:
    """Signals have no way into a guest."""
    assert guest.name("proc_raise", 15) == "NOTSUP"


@pytest.mark.parametrize("bad", [{"args": ["a\0b"]}, {"env": [("A", "b\0")]}])
def test_strings_with_nul_are_refused(bad: dict[str, object]) -> None:
    """A NUL would end the string for the guest."""
    with pytest.raises(InvalidInput, match="NUL"):
        Wasi(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("clock", "errno"), [(2, "BADF"), (3, "BADF"), (4, "INVAL"), (-1, "INVAL"), (0xFFFF_FFFF, "INVAL")]
)
def test_other_clocks_are_refused(guest: Guest, clock: int, errno: str) -> None:
    """The CPU clocks are BADF as in wasmtime, what is no clock is INVAL."""
    assert guest.name("clock_res_get", clock, 0) == errno
    assert guest.name("clock_time_get", clock, 0, 0) == errno


def test_reading_and_writing_scatter_and_gather(guest: Guest, root: Path) -> None:
    """Buffers are used in their order, empty ones among them, and the position moves."""
    fd = guest.open("f", Oflags.CREAT)
    guest.put(0, b"hello world")
    assert guest.name("fd_write", fd, *guest.iovs((6, 5), (0, 0), (0, 5)), 16) == "SUCCESS"
    assert (guest.number(16), (root / "f").read_bytes()) == (10, b"worldhello")
    assert guest.name("fd_seek", fd, -4, 1, 24) == "SUCCESS"
    assert guest.number(24, 8) == 6
    assert guest.name("fd_read", fd, *guest.iovs((32, 1), (40, 2), (48, 9)), 16) == "SUCCESS"
    assert (guest.number(16), guest.get(32, 2), guest.get(40, 3), guest.get(48, 2)) == (4, b"e?", b"ll?", b"o?")
    assert guest.name("fd_tell", fd, 24) == "SUCCESS"
    assert guest.number(24, 8) == 10


def test_positioned_reads_and_writes_leave_the_position(guest: Guest, root: Path) -> None:
    """``fd_pread`` and ``fd_pwrite`` take their own offset."""
    fd = guest.open("f", Oflags.CREAT)
    guest.put(0, b"abc")
    assert guest.name("fd_pwrite", fd, *guest.iovs((0, 3)), 2, 16) == "SUCCESS"
    assert (root / "f").read_bytes() == b"\0\0abc"
    assert guest.name("fd_pread", fd, *guest.iovs((32, 9)), 3, 16) == "SUCCESS"
    assert (guest.number(16), guest.get(32, 3)) == (2, b"bc?")
    assert guest.name("fd_tell", fd, 24) == "SUCCESS"
    assert guest.number(24, 8) == 0


@pytest.mark.parametrize(
    ("offset", "whence", "errno"),
    [(-1, 0, "INVAL"), (0, 3, "INVAL"), (0, -1, "INVAL"), (-6, 2, "INVAL"), (1 << 40, 0, "SUCCESS"), (7, 2, "SUCCESS")],
)
def test_seeking_to_odd_places(guest: Guest, root: Path, offset: int, whence: int, errno: str) -> None:
    """Past the end is fine, before the start isn't; unsigned integers mean the same as signed ones."""
    (root / "f").write_text("12345")
    fd = guest.open("f")
    assert guest.name("fd_seek", fd, offset, whence, 16) == errno
    assert guest.name("fd_seek", fd, offset & (1 << 64) - 1, whence, 16) == errno


def test_append_writes_to_the_end_until_it_is_taken_away(guest: Guest, root: Path) -> None:
    """``APPEND`` can be set and unset, and is reported."""
    (root / "f").write_text("12345")
    fd = guest.open("f", fdflags=Fdflags.APPEND)
    guest.write(fd, b"6")
    assert guest.name("fd_fdstat_get", fd, 0) == "SUCCESS"
    assert guest.get(2, 2) == b"\1\0"
    assert guest.name("fd_fdstat_set_flags", fd, Fdflags.NONBLOCK) == "SUCCESS"
    assert guest.name("fd_fdstat_get", fd, 0) == "SUCCESS"
    assert guest.get(2, 2) == b"\4\0"
    assert guest.name("fd_seek", fd, 0, 0, 16) == "SUCCESS"
    guest.write(fd, b"x")
    assert (root / "f").read_text() == "x23456"


@pytest.mark.parametrize("flags", [Fdflags.DSYNC, Fdflags.RSYNC, Fdflags.SYNC, Fdflags.SYNC | Fdflags.APPEND])
def test_synchronous_writes_are_chosen_when_opening(guest: Guest, root: Path, flags: int) -> None:
    """They reach the kernel, are reported, and can't be changed afterwards."""
    fd = guest.open("f", Oflags.CREAT, fdflags=flags)
    guest.write(fd, b"x")
    assert guest.name("fd_fdstat_get", fd, 0) == "SUCCESS"
    assert guest.number(2, 2) == flags
    assert guest.name("fd_fdstat_set_flags", fd, flags) == "SUCCESS"
    assert guest.name("fd_fdstat_set_flags", fd, 0) == "INVAL"
    assert (root / "f").read_text() == "x"


def test_allocate_makes_a_file_longer_and_never_shorter(guest: Guest, root: Path) -> None:
    """The size grows to the end of what was asked for; nothing at all is no request."""
    fd = guest.open("f", Oflags.CREAT)
    if (errno := guest.name("fd_allocate", fd, 10, 90)) == "NOTSUP":
        pytest.skip("this file system can't reserve space")
    assert errno == "SUCCESS"
    assert guest.name("fd_allocate", fd, 0, 10) == "SUCCESS"
    assert (root / "f").stat().st_size == 100
    assert [guest.name("fd_allocate", fd, 0, 0), guest.name("fd_allocate", fd, 1, -1)] == ["INVAL", "INVAL"]


def test_size_times_and_metadata(guest: Guest, root: Path) -> None:
    """What is set can be got, to the nanosecond, by descriptor and by path."""
    fd = guest.open("f", Oflags.CREAT)
    times = (1_500_000_000_123_456_789, 1_400_000_000_987_654_321)
    assert guest.name("fd_filestat_set_size", fd, 7) == "SUCCESS"
    assert guest.name("fd_filestat_set_times", fd, *times, Fstflags.ATIM | Fstflags.MTIM) == "SUCCESS"
    status = (root / "f").stat()
    expected = struct.pack("<QQB7xQQQQQ", status.st_dev, status.st_ino, 4, 1, 7, *times, status.st_ctime_ns)
    assert guest.name("fd_filestat_get", fd, 0) == "SUCCESS"
    assert guest.name("path_filestat_get", ROOT, 1, *guest.text("f"), 64) == "SUCCESS"
    assert (guest.get(0, 64), guest.get(64, 64)) == (expected, expected)


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (0, (True, True)),
        (1, (False, True)),
        (2, (False, True)),
        (4, (True, False)),
        (8, (True, False)),
        (10, (False,) * 2),
    ],
)
@pytest.mark.parametrize("by", ["descriptor", "path"])
def test_only_the_times_that_are_named_change(
    guest: Guest, root: Path, flags: int, kept: tuple[bool, bool], by: str
) -> None:
    """The other keeps its value."""
    (root / "f").write_text("")
    os.utime(root / "f", ns=(111, 222))
    if by == "path":
        errno = guest.name("path_filestat_set_times", ROOT, 0, *guest.text("f"), 333, 444, flags)
    else:
        errno = guest.name("fd_filestat_set_times", guest.open("f"), 333, 444, flags)
    status = (root / "f").stat()
    assert (errno, (status.st_atime_ns == 111, status.st_mtime_ns == 222)) == ("SUCCESS", kept)


@pytest.mark.parametrize("flags", [3, 12, 7, 15, 16, -1])
def test_contradictory_times_are_invalid(guest: Guest, flags: int) -> None:
    """A time can't be given and be now."""
    fd = guest.open("f", Oflags.CREAT)
    assert guest.name("fd_filestat_set_times", fd, 1, 1, flags) == "INVAL"
    assert guest.name("path_filestat_set_times", ROOT, 0, *guest.text("f"), 1, 1, flags) == "INVAL"


def test_advice_and_syncing_are_taken(guest: Guest) -> None:
    """All six kinds of advice exist; a length beyond what a file can have doesn't."""
    fd = guest.open("f", Oflags.CREAT)
    assert [guest.name("fd_advise", fd, 0, 10, advice) for advice in range(7)] == ["SUCCESS"] * 6 + ["INVAL"]
    assert guest.name("fd_advise", fd, 0, -1, 0) == "INVAL"
    assert [guest.name("fd_sync", fd), guest.name("fd_datasync", fd)] == ["SUCCESS", "SUCCESS"]


def test_descriptors_get_the_lowest_free_number(guest: Guest) -> None:
    """As in POSIX, and in wasmtime."""
    assert [guest.open("f", Oflags.CREAT) for _ in range(3)] == [4, 5, 6]
    assert [guest.name("fd_close", fd) for fd in (5, 4, 4, 77, -1)] == ["SUCCESS", "SUCCESS", "BADF", "BADF", "BADF"]
    assert [guest.open("f") for _ in range(3)] == [4, 5, 7]


def test_renumbering_moves_and_closes(guest: Guest, root: Path) -> None:
    """Both numbers have to be open; a preopen can be replaced, and a number can stay what it is."""
    (root / "a").write_text("A")
    (root / "b").write_text("B")
    a, b = guest.open("a"), guest.open("b")
    assert guest.name("fd_renumber", a, b) == "SUCCESS"
    assert (guest.read(b), guest.name("fd_close", a)) == (b"A", "BADF")
    assert [guest.name("fd_renumber", *pair) for pair in ((a, b), (b, a), (b, b))] == ["BADF", "BADF", "SUCCESS"]
    assert guest.name("fd_renumber", b, ROOT) == "SUCCESS"
    assert guest.name("fd_prestat_get", ROOT, 0) == "BADF"


def test_there_are_only_so_many_descriptors(root: Path) -> None:
    """A guest can't use up the host's; what was refused isn't left open."""
    with Guest(root, max_descriptors=5) as guest:
        guest.open("f", Oflags.CREAT)
        before = open_descriptors()
        assert guest.try_open("f") == "MFILE"
        assert open_descriptors() <= before


def test_injected_streams_are_read_and_written_in_pieces() -> None:
    """A read fills one buffer at most, and what a stream doesn't take isn't counted."""
    stdin, stdout = ScriptedStream(b"abcdef", b"gh"), ScriptedStream(take=2)
    with Guest(stdin=stdin, stdout=stdout) as guest:
        assert guest.name("fd_read", 0, *guest.iovs((0, 0), (8, 4), (16, 4)), 32) == "SUCCESS"
        assert (guest.number(32), guest.get(8, 4), guest.get(16, 4)) == (4, b"abcd", b"????")
        assert [guest.read(0), guest.read(0)] == [b"gh", b""]
        guest.put(0, b"12345")
        assert guest.name("fd_write", 1, *guest.iovs((0, 2), (2, 3), (0, 5)), 32) == "SUCCESS"
        assert (guest.number(32), stdout.written) == (4, [b"12", b"34"])


def test_a_stream_that_has_nothing_yet() -> None:
    """``None`` is AGAIN, and isn't the end."""
    with Guest(stdin=ScriptedStream(None, b"x")) as guest:
        assert guest.name("fd_read", 0, *guest.iovs((0, 8)), 16) == "AGAIN"
        assert [guest.read(0), guest.read(0)] == [b"x", b""]


def test_closing_a_standard_stream_leaves_the_hosts_open() -> None:
    """The guest closes its own end only, and so does the host's ``close``."""
    reader, writer = os.pipe()
    try:
        with Guest(stdout=writer) as guest:
            guest.write(1, b"before")
            assert guest.name("fd_close", 1) == "SUCCESS"
            assert guest.name("fd_write", 1, *guest.iovs((0, 1)), 16) == "BADF"
        os.write(writer, b", after")
        assert os.read(reader, 100) == b"before, after"
    finally:
        os.close(reader)
        os.close(writer)


def test_a_closed_pipe_is_reported() -> None:
    """Writing to nobody is PIPE, not a signal."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with Guest(stdout=writer) as guest:
            assert guest.name("fd_write", 1, *guest.iovs((0, 1)), 16) == "PIPE"
    finally:
        os.close(writer)


def test_a_terminal_is_a_character_device_without_position() -> None:
    """That is what ``isatty`` of the C library looks at."""
    main, terminal = os.openpty()
    try:
        with Guest(stdin=terminal) as guest:
            assert guest.name("fd_fdstat_get", 0, 0) == "SUCCESS"
            filetype, rights = struct.unpack("<B7xQ", guest.get(0, 16))
            assert (filetype, rights & (Rights.FD_SEEK | Rights.FD_TELL)) == (2, 0)
    finally:
        os.close(main)
        os.close(terminal)


def test_everything_is_closed_in_the_end(root: Path) -> None:
    """No descriptor outlives the host, not even after a failure, and closing twice does no harm."""
    before = open_descriptors()
    wasi = Guest(root).wasi
    wasi.close()
    wasi.close()
    with Guest(root) as guest:
        guest.open("f", Oflags.CREAT)
        guest.directory(".")
    with pytest.raises(InvalidInput, match="nowhere"):
        Guest(preopens=[Preopen(root, "/"), Preopen(root / "nowhere", "/x")])
    assert open_descriptors() <= before


def test_descriptors_are_not_inherited_by_programs_of_the_host(guest: Guest) -> None:
    """Whatever the host starts meanwhile doesn't get the guest's files."""
    before = open_descriptors()
    guest.open("f", Oflags.CREAT)
    guest.directory(".")
    assert [os.get_inheritable(fd) for fd in open_descriptors() - before] == [False, False]


def open_descriptors() -> set[int]:
    """Find this process's descriptors, without opening one to find out."""
    result = set()
    for fd in range(256):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            result.add(fd)
    return result
