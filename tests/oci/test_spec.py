"""Reading and writing ``config.json``: what is modelled, what is kept, and what is wrong with it."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.leak_check import no_descriptor_left
from wasmoci.errors import InvalidSpec
from wasmoci.oci.spec import Mount, Process, Root, Spec

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE: dict[str, Any] = {
    "ociVersion": "1.2.0-rc.1",
    "hostname": "box",
    "process": {
        "terminal": True,
        "user": {"uid": 1000, "gid": 1000, "additionalGids": [5]},
        "args": ["/app.wasm", "ä b", ""],
        "env": ["PATH=/bin", "EMPTY=", "TWICE=a=b"],
        "cwd": "/srv",
        "capabilities": {"bounding": ["CAP_KILL"]},
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/data",
            "type": "bind",
            "source": "/srv",
            "options": ["rbind", "ro"],
            "uidMappings": [{"a": 1}],
        },
    ],
    "annotations": {"run.oci.handler": "wasm", "": "empty key", "ключ": "значение"},
    "linux": {"namespaces": [{"type": "pid"}], "resources": {"memory": {"limit": 67108864, "swap": -1}}},
    "hooks": {"poststop": [{"path": "/bin/true"}]},
}
LEAST: dict[str, Any] = {"ociVersion": "1.0.2"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
texts = words | st.none()
flags = st.booleans() | st.none()


def objects(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of the known members and any number of others."""
    others = st.dictionaries(st.text(max_size=8).map(lambda key: f"x-{key}"), json_values, max_size=2)
    return st.builds(lambda one, two: {**two, **one}, st.fixed_dictionaries({}, optional=known), others)


def with_member(
    documents: st.SearchStrategy[dict[str, Any]], key: str, values: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have a member for sure."""
    return st.builds(lambda document, value: {**document, key: value}, documents, values)


variables = st.builds("{}={}".format, words.filter(lambda name: name and "=" not in name), words)
mounts = with_member(
    objects(type=texts, source=texts, options=st.lists(words, max_size=2) | st.none()),
    "destination",
    words.filter(bool),
)
specs = with_member(
    objects(
        process=st.none()
        | objects(
            args=st.lists(words, max_size=3) | st.none(),
            env=st.lists(variables, max_size=3) | st.none(),
            cwd=words.map(lambda text: "/" + text) | st.none(),
            terminal=flags,
        ),
        root=st.none() | with_member(objects(readonly=flags), "path", words.filter(bool)),
        mounts=st.lists(mounts, max_size=3) | st.none(),
        annotations=st.dictionaries(st.text(max_size=8), words, max_size=3) | st.none(),
        linux=st.none()
        | objects(resources=st.none() | objects(memory=st.none() | objects(limit=st.integers() | st.none()))),
    ),
    "ociVersion",
    st.sampled_from(["1.0.0", "1.0.2-dev", "1.2.1+build", "1.99.0"]),
)


def test_reads_what_is_modelled() -> None:
    """Every modelled member comes out as it stands in the document."""
    assert Spec.from_dict(COMPLETE) == Spec(
        version="1.2.0-rc.1",
        process=Process(
            args=("/app.wasm", "ä b", ""), env=("PATH=/bin", "EMPTY=", "TWICE=a=b"), cwd="/srv", terminal=True
        ),
        root=Root(path="rootfs", readonly=True),
        mounts=(
            Mount(destination="/proc", type="proc", source="proc"),
            Mount(destination="/data", type="bind", source="/srv", options=("rbind", "ro")),
        ),
        annotations={"run.oci.handler": "wasm", "": "empty key", "ключ": "значение"},
        memory_limit=64 << 20,
    )


def test_reads_the_least() -> None:
    """What is missing has the meaning that the specification gives it."""
    assert Spec.from_dict(LEAST) == Spec(version="1.0.2")
    assert Spec.from_dict({**LEAST, "process": {}}).process == Process(args=(), env=(), cwd="/", terminal=False)


@pytest.mark.parametrize(("limit", "expected"), [(None, None), (0, None), (-1, None), (1, 1), (1 << 70, 1 << 70)])
def test_memory_limit(limit: int | None, expected: int | None) -> None:
    """No limit, zero and less mean that there is none."""
    document = {**LEAST, "linux": {"resources": {"memory": {"limit": limit}}}}
    assert Spec.from_dict(document).memory_limit == expected


@pytest.mark.parametrize("document", [COMPLETE, LEAST, {**LEAST, "process": {}, "mounts": [], "annotations": {}}])
def test_writes_back_what_it_read(document: dict[str, Any], tmp_path: Path) -> None:
    """A document comes back unchanged, through a file as well."""
    spec = Spec.from_dict(document)
    assert spec.to_dict() == document
    spec.save(tmp_path / "config.json")
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) == document
    assert Spec.load(tmp_path / "config.json") == spec
    assert os.listdir(tmp_path) == ["config.json"]  # noqa: PTH208


@given(specs)
def test_any_document_is_written_back_unchanged(document: dict[str, Any]) -> None:
    """Nothing is lost, added or moved, whatever else a document holds."""
    copy = json.loads(json.dumps(document))
    spec = Spec.from_dict(document)
    assert spec.to_dict() == copy
    assert document == copy
    assert Spec.from_dict(spec.to_dict()) == spec


def test_members_that_look_alike_are_kept_apart() -> None:
    """Two mounts that differ in nothing but what isn't modelled both come back, in order, with what they had."""
    mounts = [{"destination": "/a", "x": 1}, {"destination": "/b"}, {"destination": "/a", "x": 2}]
    assert Spec.from_dict({**LEAST, "mounts": mounts}).to_dict()["mounts"] == mounts


CHANGED = [
    ({"process": Process(args=("/x",), cwd="/w")}, {"process": {"args": ["/x"], "cwd": "/w"}}),
    ({"process": Process(args=("/x",), env=("A=b",))}, {"process": {"args": ["/x"], "env": ["A=b"], "cwd": "/"}}),
    ({"root": Root(path="r", readonly=True)}, {"root": {"path": "r", "readonly": True}}),
    ({"mounts": (Mount(destination="/m", type="tmpfs"),)}, {"mounts": [{"destination": "/m", "type": "tmpfs"}]}),
    ({"annotations": {"a": "b"}}, {"annotations": {"a": "b"}}),
    ({"memory_limit": 5}, {"linux": {"resources": {"memory": {"limit": 5}}}}),
    ({"version": "1.1.0"}, {"ociVersion": "1.1.0"}),
]


@pytest.mark.parametrize(("fields", "expected"), CHANGED, ids=lambda value: next(iter(value)))
@pytest.mark.parametrize(
    "nothing",
    [{}, {"process": None, "root": None, "mounts": None, "annotations": None, "linux": None}],
    ids=["missing", "null"],
)
def test_writes_what_was_set(fields: dict[str, Any], expected: dict[str, Any], nothing: dict[str, Any]) -> None:
    """A field that was set appears in the document, where its member was missing or null."""
    spec = attrs.evolve(Spec.from_dict({**LEAST, **nothing}), **fields)
    assert spec.to_dict() == {**LEAST, **nothing, **expected}


@pytest.mark.parametrize(
    ("fields", "path", "expected"),
    [
        ({"process": None}, ("process",), None),
        ({"root": None}, ("root",), None),
        ({"mounts": ()}, ("mounts",), []),
        ({"annotations": {}}, ("annotations",), {}),
        ({"memory_limit": None}, ("linux", "resources", "memory"), {"limit": -1, "swap": -1}),
        ({"memory_limit": 7}, ("linux", "resources", "memory"), {"limit": 7, "swap": -1}),
    ],
)
def test_writes_what_was_taken_away(fields: dict[str, Any], path: tuple[str, ...], expected: object) -> None:
    """A field that was changed is changed in the document, and its neighbours stay."""
    found: Any = attrs.evolve(Spec.from_dict(COMPLETE), **fields).to_dict()
    for key in path:
        found = found.get(key)
    assert found == expected


def test_changed_process_keeps_its_neighbours() -> None:
    """The user, the capabilities and whatever else a process has stay when its arguments change."""
    spec = Spec.from_dict(COMPLETE)
    assert spec.process is not None
    changed = attrs.evolve(spec, process=attrs.evolve(spec.process, args=("/other",), terminal=False))
    assert changed.to_dict()["process"] == {**COMPLETE["process"], "args": ["/other"], "terminal": False}


def test_new_mount_leaves_the_others_alone() -> None:
    """A mount that is added comes after the others, which keep what isn't modelled."""
    spec = Spec.from_dict(COMPLETE)
    changed = attrs.evolve(spec, mounts=(*spec.mounts, Mount(destination="/new", type="tmpfs")))
    assert changed.to_dict()["mounts"] == [*COMPLETE["mounts"], {"destination": "/new", "type": "tmpfs"}]


def test_document_is_a_copy() -> None:
    """A document that was given out can be changed without harm to the spec."""
    spec = Spec.from_dict(COMPLETE)
    document = spec.to_dict()
    document["process"]["user"]["uid"] = 0
    document["mounts"][1]["uidMappings"].clear()
    assert spec.to_dict() == COMPLETE


def test_lone_surrogate_survives_a_file(tmp_path: Path) -> None:
    """What JSON can hold and UTF-8 can't is kept where it isn't modelled."""
    source = tmp_path / "config.json"
    source.write_text('{"ociVersion": "1.0.2", "x": "\\ud800"}', encoding="ascii")
    spec = Spec.load(source)
    spec.save(source)
    assert Spec.load(source).raw == {"ociVersion": "1.0.2", "x": "\ud800"}


STRING, NULS, LONE = (
    "a string was expected",
    "a string without NUL bytes was expected",
    "a string without lone surrogates",
)
PLACES: dict[str, tuple[object, ...]] = {
    "$.ociVersion": ("ociVersion",),
    "$.process.args[1]": ("process", "args", 1),
    "$.process.env[0]": ("process", "env", 0),
    "$.process.cwd": ("process", "cwd"),
    "$.root.path": ("root", "path"),
    "$.mounts[1].destination": ("mounts", 1, "destination"),
    "$.mounts[1].source": ("mounts", 1, "source"),
    "$.mounts[1].type": ("mounts", 1, "type"),
    "$.mounts[1].options[0]": ("mounts", 1, "options", 0),
    '$.annotations["run.oci.handler"]': ("annotations", "run.oci.handler"),
}
FLAGS: dict[str, tuple[object, ...]] = {
    "$.process.terminal": ("process", "terminal"),
    "$.root.readonly": ("root", "readonly"),
}
OBJECTS: dict[str, tuple[object, ...]] = {
    "$.process": ("process",),
    "$.root": ("root",),
    "$.annotations": ("annotations",),
    "$.linux": ("linux",),
    "$.linux.resources": ("linux", "resources"),
    "$.linux.resources.memory": ("linux", "resources", "memory"),
    "$.mounts[0]": ("mounts", 0),
}
ARRAYS: dict[str, tuple[object, ...]] = {
    "$.process.args": ("process", "args"),
    "$.process.env": ("process", "env"),
    "$.mounts": ("mounts",),
    "$.mounts[1].options": ("mounts", 1, "options"),
}
LIMIT: dict[str, tuple[object, ...]] = {
    "$.linux.resources.memory.limit": ("linux", "resources", "memory", "limit"),
}
EVERYWHERE = {**PLACES, **FLAGS, **OBJECTS, **ARRAYS, **LIMIT}


def put(path: tuple[object, ...], value: object) -> dict[str, Any]:
    """The complete document with another value at a place."""
    document: Any = json.loads(json.dumps(COMPLETE))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document  # type: ignore[no-any-return]


def wrong(place: str, value: object) -> str:
    """What is said about a wrong value at a place."""
    with pytest.raises(InvalidSpec) as caught:
        Spec.from_dict(put(EVERYWHERE[place], value), source="/b/config.json")
    assert (caught.value.source, caught.value.path) == ("/b/config.json", place)
    prefix = f"/b/config.json: {place}: "
    assert caught.value.message.startswith(prefix)
    return caught.value.message[len(prefix) :]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("value", "found"),
    [(1, "1"), (1.5, "1.5"), (True, "true"), ([1], "an array of 1"), ({}, "an object of 0"), (10**30, str(10**30))],
)
def test_wrong_type_instead_of_a_string(place: str, value: object, found: str) -> None:
    """The place, what is there and what should be are all named."""
    assert wrong(place, value) == f"found {found}; {STRING}"


@pytest.mark.parametrize("place", PLACES)
def test_strings_that_nothing_can_be_called(place: str) -> None:
    """A NUL byte or a lone surrogate is refused wherever a string means something."""
    assert wrong(place, "/a=b\0") == f'found "/a=b\\u0000"; {NULS}'
    assert wrong(place, "/a=\udcff").startswith(f'found "/a=\\udcff"; {LONE}')


@pytest.mark.parametrize("place", FLAGS)
@pytest.mark.parametrize(("value", "found"), [(0, "0"), ("true", '"true"'), ([], "an array of 0")])
def test_wrong_type_instead_of_a_flag(place: str, value: object, found: str) -> None:
    """A flag is true or false, and nothing that looks like it."""
    assert wrong(place, value) == f"found {found}; true or false was expected"


@pytest.mark.parametrize("place", OBJECTS)
@pytest.mark.parametrize(("value", "found"), [(1, "1"), ("x", '"x"'), ([1, 2], "an array of 2"), (False, "false")])
def test_wrong_type_instead_of_an_object(place: str, value: object, found: str) -> None:
    """An object is needed where members are."""
    assert wrong(place, value) == f"found {found}; an object was expected"


@pytest.mark.parametrize("place", ARRAYS)
@pytest.mark.parametrize(("value", "found"), [(1, "1"), ("/bin/sh", '"/bin/sh"'), ({"a": 1}, "an object of 1")])
def test_wrong_type_instead_of_an_array(place: str, value: object, found: str) -> None:
    """A string is no list of arguments."""
    assert wrong(place, value) == f"found {found}; an array was expected"


@pytest.mark.parametrize(("value", "found"), [("64Mi", '"64Mi"'), (1.5, "1.5"), (1e3, "1000.0"), (True, "true")])
def test_wrong_type_instead_of_a_limit(value: object, found: str) -> None:
    """A limit is a whole number of bytes."""
    assert wrong("$.linux.resources.memory.limit", value) == f"found {found}; an integer was expected"


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("$.process.args[1]", None, "found null; a string was expected"),
        ('$.annotations["run.oci.handler"]', None, "found null; a string was expected"),
        ("$.process.env[0]", "NAME", 'found "NAME"; NAME=value was expected'),
        ("$.process.env[0]", "=x", 'found "=x"; NAME=value was expected'),
        ("$.process.env[0]", "", 'found ""; NAME=value was expected'),
        ("$.process.cwd", "srv", 'found "srv"; an absolute path was expected'),
        ("$.process.cwd", "", 'found ""; an absolute path was expected'),
        ("$.root.path", "", 'found ""; the path of a directory was expected'),
        ("$.mounts[1].destination", "", 'found ""; an absolute path was expected'),
        ("$.ociVersion", "1", 'found "1"; a version such as 1.0.2 was expected'),
        ("$.ociVersion", "1.0.2\n", 'found "1.0.2\\n"; a version such as 1.0.2 was expected'),
        ("$.ociVersion", "1.0.٢", 'found "1.0.\\u0662"; a version such as 1.0.2 was expected'),
        ("$.ociVersion", "0.9.0", 'found "0.9.0"; wasmoci reads version 1 of the OCI runtime specification'),
        ("$.ociVersion", "2.0.0", 'found "2.0.0"; wasmoci reads version 1 of the OCI runtime specification'),
        ("$.ociVersion", "11.0.0", 'found "11.0.0"; wasmoci reads version 1 of the OCI runtime specification'),
        ("$.process.args[1]", ["x" * 1000], "found an array of 1; a string was expected"),
    ],
)
def test_wrong_value(place: str, value: object, expected: str) -> None:
    """A value of the right type can be wrong all the same."""
    assert wrong(place, value) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("ociVersion",), "$.ociVersion: is missing; the OCI runtime specification requires it"),
        (("root", "path"), "$.root.path: is missing; the OCI runtime specification requires it"),
        (
            ("mounts", 0, "destination"),
            "$.mounts[0].destination: is missing; the OCI runtime specification requires it",
        ),
    ],
)
def test_required_member_is_missing(path: tuple[object, ...], message: str) -> None:
    """Null is as good as missing, and neither will do."""
    absent = put(path, None)
    place: Any = absent
    for document in (absent, json.loads(json.dumps(absent))):
        with pytest.raises(InvalidSpec) as caught:
            Spec.from_dict(document)
        assert caught.value.message == message
        place = document
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        with pytest.raises(InvalidSpec) as caught:
            Spec.from_dict(document)
        assert caught.value.message == message


@given(st.sampled_from(sorted(EVERYWHERE)), json_values | st.text(st.characters(), max_size=5))
def test_any_value_at_any_place(place: str, value: object) -> None:
    """Whatever stands at a modelled place: a spec that is written back as it was, or InvalidSpec with its place."""
    document = put(EVERYWHERE[place], value)
    problem = None
    try:
        written = Spec.from_dict(document, source="config.json").to_dict()
    except InvalidSpec as error:
        problem = error
    if problem is None:
        assert written == document
    else:
        assert problem.message.startswith(f"config.json: {problem.path}: ")


@pytest.mark.parametrize("value", [None, 1, "x", [], [{}]], ids=repr)
def test_document_that_is_no_object(value: object, tmp_path: Path) -> None:
    """A spec is an object."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(InvalidSpec, match=r"config.json: \$: found .*; an object was expected"):
        Spec.load(file)


FILES = {
    "empty": (b"", "not JSON: Expecting value at line 1, column 1"),
    "no JSON": (b"FROM scratch\n", "not JSON: Expecting value at line 1, column 1"),
    "cut short": (b'{"ociVersion":\n "1.0', "not JSON: Unterminated string starting at at line 2, column 2"),
    "more after it": (b"{} {}", "not JSON: Extra data at line 1, column 4"),
    "NaN": (b'{"a": NaN}', "not JSON: NaN is no JSON number"),
    "infinity": (b'{"a": -Infinity}', "not JSON: -Infinity is no JSON number"),
    "too large a number": (b'{"a": 1e999}', "not JSON: the number 1e999 is too large"),
    "too long a number": (b'{"a": ' + b"9" * 5000 + b"}", "not JSON: Exceeds the limit"),
    "NUL bytes": (b"\0" * 100, "not JSON: Expecting value at line 1, column 1"),
    "a raw NUL in a string": (b'{"a": "\0"}', "not JSON: Invalid control character at at line 1, column 8"),
    "not UTF-8": (b'{"a": "\xff"}', "byte 0x7 is not UTF-8, as JSON has to be"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "byte 0x0 is not UTF-8, as JSON has to be"),
    "nested a little too deep": (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "is nested more than 100 levels deep"),
    "nested very deep": (b"[" * 1_000_000, "is nested more than 100 levels deep"),
    "50 MB of nesting": (b"[" * 50_000_000, "is larger than 16 MiB, which no OCI spec is"),
}


@pytest.mark.parametrize("name", FILES)
def test_file_that_holds_no_spec(name: str, tmp_path: Path) -> None:
    """Whatever a file holds, the error names the file and what is wrong."""
    content, message = FILES[name]
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(InvalidSpec) as caught:
        Spec.load(file)
    assert caught.value.message.startswith(f"{file}: {message}")
    assert caught.value.source == str(file)


def test_nesting_of_real_specs_is_allowed(tmp_path: Path) -> None:
    """A hundred levels are far more than anybody needs, and they are written back."""
    file = tmp_path / "config.json"
    document = '{"ociVersion":"1.0.0","x":' + "[" * 98 + "]" * 98 + "}"
    file.write_text(document, encoding="ascii")
    Spec.load(file).save(file)
    assert json.loads(file.read_text(encoding="ascii")) == json.loads(document)


def test_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """A file that an editor has put a byte order mark in is read all the same."""
    file = tmp_path / "config.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(LEAST).encode())
    assert Spec.load(file).version == "1.0.2"


def test_file_that_is_no_file(tmp_path: Path) -> None:
    """A missing file, a directory, a FIFO, a socket, a device or a name that can't be one: none of them blocks or crashes."""
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name, message in [
            ("missing", "can't be read: No such file or directory"),
            ("dangling", "can't be read: No such file or directory"),
            ("loop", "can't be read: Too many levels of symbolic links"),
            ("directory", "is a directory; a JSON file was expected"),
            ("fifo", "is a special file; a JSON file was expected"),
            ("socket", "can't be read: No such device or address"),
            ("/dev/zero", "is a special file; a JSON file was expected"),
            ("x" * 300, "can't be read: File name too long"),
            ("nul\0byte", "can't be read: its name has a NUL byte"),
        ]:
            with no_descriptor_left(), pytest.raises(InvalidSpec) as caught:
                Spec.load(tmp_path / name)
            shown = str(tmp_path / name).replace("\0", "\\x00")
            assert caught.value.message == f"{shown}: {message}"


def test_directory_is_that_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative host paths in a spec start from its file's directory, an absolute one."""
    (tmp_path / "config.json").write_text(json.dumps(LEAST), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert Spec.load("config.json").directory == str(tmp_path)
