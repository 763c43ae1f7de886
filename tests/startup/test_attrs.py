"""Classes made by ``wasmoci._startup.attrs`` behave as those that attrs makes of the same source, to themselves and to attrs."""

from __future__ import annotations

import copy
import pickle
from typing import Any, ClassVar

import attrs
import pytest

import wasmoci


def positive(_instance: object, attribute: Any, value: int) -> None:
    """A validator."""
    if value <= 0:
        raise ValueError(f"{attribute.name} is {value}")


def make(maker: Any) -> tuple[type, type, type]:
    """The same three classes by attrs or by ours: positional and derived, keywords only, without comparison."""

    @maker.frozen
    class Point:
        kind: ClassVar[str] = "point"
        x: int
        y: int = 2
        _tags: tuple[str, ...] = maker.field(default=(), repr=False)
        seen: list[int] = maker.field(factory=list, eq=False)
        size: int = maker.field(default=1, validator=positive)
        fixed: dict[str, int] = maker.field(factory=dict, init=False, eq=False)

    @maker.frozen(kw_only=True)
    class Named(Point):
        name: str
        other: str | None = None

        def __repr__(self) -> str:
            return f"<{self.name}>"

    @maker.frozen(eq=False, slots=False)
    class Plain:
        x: int

    return Point, Named, Plain


BOTH = (make(attrs), make(attrs))
CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((1, 3), {}),
    ((1, 3, ("a",), [1], 5), {}),
    ((), {"x": 1, "tags": ("b",)}),
    ((1,), {"seen": [2]}),
    ((1,), {"size": 0}),
    ((), {}),
    ((1,), {"x": 2}),
    ((1,), {"z": 2}),
    ((1,), {"fixed": {}}),
    ((1, 2, (), [], 1, 6), {}),
]


def outcome(kind: type, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """What comes of a call: the attributes, or the error."""
    try:
        made = kind(*args, **given)
    except (TypeError, ValueError) as error:
        return type(error), str(error).replace("make.<locals>.", "")
    return repr(made), {name: getattr(made, name) for name in ("x", "y", "_tags", "seen", "size", "fixed")}


@pytest.mark.parametrize(("args", "given"), CALLS)
def test_calls(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """The same arguments give the same attributes or the same error, in the first objects and in later ones."""
    (theirs, _, _), (ours, _, _) = BOTH
    fresh = make(attrs)[0]
    expected = outcome(theirs, args, given)
    assert [outcome(fresh, args, given) for _ in range(12)] == [expected] * 12
    assert outcome(ours, args, given) == expected


def test_inherited_and_keywords_only() -> None:
    """Inherited attributes come first; the ones of one's own are keywords only, and a method of one's own is kept."""
    results = []
    for _, named, _ in BOTH:
        made: Any = named(x=1, name="n")
        results.append((made.x, made.y, made.name, made.other, repr(made)))
        with pytest.raises(TypeError):
            named(x=1)
    assert results[0] == results[1]


def test_comparison() -> None:
    """Equal by what is compared, hashed by it, and never equal to another class."""
    for point, named, plain in BOTH:
        assert point(1, seen=[1]) == point(1, seen=[2])
        assert point(1) != point(2)
        assert hash(point(1)) == hash(point(1))
        assert point(1) != named(x=1, name="n")
        assert plain(1) != plain(1)
        assert len({plain(1), plain(1)}) == 2


def test_frozen() -> None:
    """Nothing can be set or deleted, and the error is that of attrs."""
    for point, _, _ in BOTH:
        made: Any = point(1)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            made.x = 2
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            del made.x
        assert point.kind == "point"  # type: ignore[attr-defined]


def test_attrs_takes_them() -> None:
    """To attrs they are its own: it describes, changes and converts them."""
    for point, _, _ in BOTH:
        made: Any = point(1, tags=("t",))
        assert attrs.has(point)
        assert [item.name for item in attrs.fields(point)] == ["x", "y", "_tags", "seen", "size", "fixed"]
        assert attrs.evolve(made, y=5, tags=()) == point(1, 5)
        assert attrs.asdict(made)["_tags"] == ("t",)
        assert attrs.evolve(made, y=5, tags=()) == point(1, 5)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])  # noqa: S301
def test_copies(again: Any) -> None:
    """They can be copied and pickled."""
    limits = wasmoci.Limits(time=1.0, memory=5)
    assert again(limits) == limits


def test_mutable() -> None:
    """``define`` makes what can be changed, and can't be hashed."""

    @attrs.define
    class Mutable:
        items: list[int] = attrs.field(factory=list)

    made: Any = Mutable()
    made.items = [1]
    assert made == Mutable([1])
    with pytest.raises(TypeError, match="unhashable"):
        hash(made)
