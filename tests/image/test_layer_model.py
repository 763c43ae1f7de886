"""Random layers against a model of a file system that knows nothing of directories' descriptors."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.image.making import member, tar, tree
from tests.image.test_layer import apply
from wasmoci.errors import InvalidImage

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
TARGETS = st.sampled_from(["a", "b", "/a", "/c", "a/b", "../b", "..", "/", "/a/../b", "missing", "."])
ENTRY = st.one_of(
    st.tuples(st.just("file"), PATHS, st.binary(max_size=3)),
    st.tuples(st.just("dir"), PATHS, st.sampled_from([0o755, 0o700])),
    st.tuples(st.just("symlink"), PATHS, TARGETS),
    st.tuples(st.just("link"), PATHS, PATHS),
    st.tuples(st.just("whiteout"), PATHS, st.none()),
    st.tuples(st.just("opaque"), st.lists(NAMES, max_size=2).map(tuple), st.none()),
)
LAYERS = st.lists(st.lists(ENTRY, max_size=6), min_size=1, max_size=4)

Path_ = tuple[str, ...]


class Refused(Exception):
    """The model refuses a layer."""


class Model:
    """A file system as a mapping of real paths; hard links share a list."""

    def __init__(self) -> None:
        self.nodes: dict[Path_, tuple[str, object]] = {(): ("dir", 0o755)}
        self.upper: set[Path_] = set()

    def resolve(self, path: Path_, *, create: bool) -> Path_ | None:
        """The real path of a directory; None where it isn't there or is none."""
        real: Path_ = ()
        pending, links = list(path), 0
        while pending:
            name = pending.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                real = real[:-1]
                continue
            node = self.nodes.get((*real, name))
            if node is None:
                if not create:
                    return None
                real = (*real, name)
                self.nodes[real] = ("dir", 0o755)
                self.mark(real)
            elif node[0] == "dir":
                real = (*real, name)
            elif node[0] == "symlink":
                links += 1
                if links > 40:
                    raise Refused
                target = str(node[1])
                real = () if target.startswith("/") else real
                pending = target.split("/") + pending
            else:
                raise Refused
        return real

    def mark(self, path: Path_) -> None:
        """Note that the layer has a path, and so what is above it."""
        for count in range(len(path) + 1):
            self.upper.add(path[:count])

    def remove(self, path: Path_) -> None:
        """Remove a path and all below."""
        for other in [other for other in self.nodes if other[: len(path)] == path]:
            del self.nodes[other]

    def remove_lower(self, path: Path_, *, itself: bool) -> None:
        """Remove what lower layers have at and below a path."""
        for other in sorted((other for other in self.nodes if other[: len(path)] == path), key=len, reverse=True):
            if other not in self.upper and (itself or other != path):
                self.remove(other)

    def apply(self, kind: str, path: Path_, value: object) -> None:
        """Do what one entry says."""
        if kind in ("whiteout", "opaque"):
            try:
                parent = self.resolve(path[:-1] if kind == "whiteout" else path, create=False)
            except Refused:
                return
            if parent is not None:
                self.remove_lower((*parent, path[-1]) if kind == "whiteout" else parent, itself=kind == "whiteout")
            return
        source: Path_ = ()
        if kind == "link":
            assert isinstance(value, tuple)
            above = self.resolve(value[:-1], create=False)
            source = () if above is None else (*above, value[-1])
            if above is None or source not in self.nodes or self.nodes[source][0] == "dir":
                raise Refused
        parent = self.resolve(path[:-1], create=True)
        assert parent is not None
        real = (*parent, path[-1])
        there = self.nodes.get(real)
        if kind == "link":
            if source != real:
                if source[: len(real)] == real:
                    raise Refused
                node = self.nodes[source]
                self.remove(real)
                self.nodes[real] = node
        elif kind == "dir" and there is not None and there[0] == "dir":
            self.nodes[real] = ("dir", value)
        else:
            self.remove(real)
            self.nodes[real] = (kind, value)
        self.mark(real)

    def tree(self) -> dict[str, tuple[object, ...]]:
        """What it holds, as of a directory."""
        found: dict[str, tuple[object, ...]] = {}
        for path, (kind, value) in self.nodes.items():
            if path:
                found["/".join(path)] = ("file", 0o644, value) if kind == "file" else (kind, value)
        return found


def entry(kind: str, path: Path_, value: object) -> object:
    """The step as a member of an archive."""
    name = "/".join(path)
    if kind == "file":
        return member(name, data=value)  # type: ignore[arg-type]
    if kind == "dir":
        return member(name, "dir", mode=value)
    if kind == "whiteout":
        return member("/".join((*path[:-1], f".wh.{path[-1]}")))
    if kind == "opaque":
        return member("/".join((*path, ".wh..wh..opq")))
    return member(name, kind, link="/".join(value) if isinstance(value, tuple) else str(value))


@settings(max_examples=400, deadline=None)
@given(LAYERS)
def test_layers_do_what_the_model_does(layers: list[list[tuple[str, Path_, object]]]) -> None:
    """Any sequence of layers leaves the files that the model has, or is refused where the model refuses it."""
    model, refused = Model(), False
    try:
        for layer in layers:
            model.upper = set()
            for step in layer:
                model.apply(*step)
    except Refused:
        refused = True
    archives = [tar(*(entry(*step) for step in layer)) for layer in layers]  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "root")
        try:
            apply(root, *archives)
        except InvalidImage:
            assert refused
            return
        assert not refused
        assert tree(root) == model.tree()
