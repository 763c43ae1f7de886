"""Classes made by ``wasmoci._startup.attrs`` behave as those that attrs makes of the same source, to themselves and to attrs."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import pydoc
import re
import sys
import types
import typing
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

import wasmoci
from wasmoci._startup import attrs as _attrs
from wasmoci._startup import data_classes as _data_classes

if TYPE_CHECKING:
    from collections.abc import Callable


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


def copies(kind: type) -> tuple[Any, Any]:
    """A public class of wasmoci as it is, and as attrs makes it; both of the same source, to be used up."""
    source = inspect.getsource(sys.modules[kind.__module__])
    assert _IMPORT in source
    made = []
    for text in (
        source,
        source.replace(f"{_IMPORT}, ", f"import attrs\n{_IMPORT[:-5]}").replace(_IMPORT, "import attrs"),
    ):
        module = types.ModuleType(kind.__module__)
        exec(compile(text, kind.__module__, "exec"), vars(module))  # noqa: S102
        made.append(getattr(module, kind.__name__))
    return made[0], made[1]


_IMPORT = "from wasmoci._startup import attrs"
PUBLIC = [
    kind
    for kind in (getattr(wasmoci, name) for name in wasmoci.__all__)
    if isinstance(kind, type) and attrs.has(kind) and hasattr(kind, "_wasmoci_fields")
]


@pytest.fixture(params=PUBLIC, ids=lambda kind: kind.__name__)
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A class as it is, and as attrs makes it."""
    return copies(request.param)


def answer(question: Callable[[Any], Any], kind: Any) -> Any:
    """What comes of a question: its answer as text, or the error."""
    try:
        found = question(kind)
    except Exception as error:  # noqa: BLE001  whatever it is, both have to raise it
        return type(error), str(error)
    return re.sub(r" at 0x[0-9a-f]+", "", str(found))


def an_object(kind: Any, **given: Any) -> Any:
    """An object of a class; what has to be given is a text."""
    required = {item.alias: "x" for item in attrs.fields(kind) if item.init and item.default is attrs.NOTHING}
    return kind(**{**required, **given})


def first(kind: Any) -> str:
    """A class's first attribute."""
    return next(item.alias for item in attrs.fields(kind))


def hints(function: Any) -> Any:
    """The types of a function's arguments, where its module has their names; the names that it lacks are another one's in a copy."""
    return typing.get_type_hints(function, localns=_Anything(vars(sys.modules[function.__module__])))


class _Anything(dict[str, Any]):
    """What type checkers alone import."""

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        return type(name, (), {"__class_getitem__": classmethod(lambda cls, _: cls)})


def helped(kind: Any) -> str:
    """The part of ``help`` about signatures; attrs' objects have slots, and the names of shared methods are its own."""
    text = pydoc.render_doc(kind, renderer=pydoc.plaintext)
    start, end = text.index("class "), text.index("Methods defined here")
    init = next(line for line in text.splitlines() if line.startswith(" |  __init__("))
    return f"{text[start:end]}\n{init}"


def resolved(kind: Any) -> Any:
    """The types of its attributes, once attrs has looked them up."""
    attrs.resolve_types(kind, localns=_Anything(vars(sys.modules[kind.__module__])))
    return [item.type for item in attrs.fields(kind)]


def set_first(kind: Any) -> None:
    """Set an attribute of an object."""
    setattr(an_object(kind), first(kind), 1)


def delete_first(kind: Any) -> None:
    """Delete an attribute of an object."""
    delattr(an_object(kind), first(kind))


def subclass(kind: Any) -> Any:
    """A class of attrs that is derived from it, and one of its objects."""
    derived = attrs.frozen(kw_only=True)(type("Derived", (kind,), {"__annotations__": {"more": int}, "more": 1}))
    made = an_object(derived)
    changed = attrs.evolve(made, more=2)
    again = _data_classes.evolve(made, more=2)
    return (
        inspect.signature(derived),
        made,
        changed,
        again == changed,
        made == changed,
        attrs.fields_dict(derived).keys(),
    )


def still_frozen(kind: Any) -> None:
    """A class that is derived from a frozen one is frozen, too."""
    derived = attrs.define(type("Derived", (kind,), {}))
    setattr(an_object(derived), first(kind), 1)


def plain_subclass(kind: Any) -> Any:
    """A class that is derived from it without attrs, with an ``__init__`` of its own."""

    def __init__(self: Any, other: int) -> None:  # noqa: N807
        raise NotImplementedError

    derived = type("Derived", (kind,), {"__init__": __init__})
    return inspect.signature(derived), attrs.has(derived), [item.name for item in attrs.fields(derived)]


def described(kind: Any) -> Any:
    """Its attributes, without what belongs to the module that they were made in."""
    attributes = attrs.fields(kind)
    wanted = (
        "name",
        "default",
        "repr",
        "eq",
        "order",
        "hash",
        "init",
        "metadata",
        "type",
        "kw_only",
        "inherited",
        "on_setattr",
        "alias",
    )
    return type(attributes).__name__, [
        (*(getattr(item, name) for name in wanted), getattr(item.validator, "__name__", None)) for item in attributes
    ]


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "signature": inspect.signature,
    "signature of __init__": lambda kind: inspect.signature(kind.__init__),
    "annotations of __init__": lambda kind: list(kind.__init__.__annotations__.items()),
    "names of __init__": lambda kind: [
        getattr(kind.__init__, f"__{name}__") for name in ("name", "qualname", "module", "doc")
    ],
    "hints of __init__": lambda kind: hints(kind.__init__).keys(),
    "strict hints of __init__": lambda kind: {
        name: typing.Optional[hint]  # noqa: UP045  Python 3.10 makes it one where the default is None
        for name, hint in typing.get_type_hints(kind.__init__).items()
    },
    "hints": typing.get_type_hints,
    "annotations": lambda kind: kind.__annotations__,
    "help": helped,
    "fields": described,
    "has": attrs.has,
    "fields_dict": lambda kind: attrs.fields_dict(kind).keys(),
    "match": lambda kind: kind.__match_args__,
    "doc": lambda kind: kind.__doc__,
    "names of __eq__": lambda kind: (kind.__eq__.__qualname__, inspect.signature(kind.__eq__), kind.__eq__.__doc__),
    "names of __setattr__": lambda kind: (kind.__setattr__.__name__, inspect.signature(kind.__setattr__)),
    "names of __repr__": lambda kind: (kind.__repr__.__name__, inspect.signature(kind.__repr__)),
    "repr": an_object,
    "equal": lambda kind: an_object(kind) == an_object(kind),
    "unequal": lambda kind: an_object(kind) != an_object(kind),
    "equal to another": lambda kind: an_object(kind) == 1,
    "__eq__": lambda kind: an_object(kind).__eq__(1),
    "hash": lambda kind: len({an_object(kind): 1, an_object(kind): 2}),
    "order": lambda kind: an_object(kind) < an_object(kind),
    "copy": lambda kind: copy.copy(an_object(kind)) == an_object(kind),
    "deepcopy": lambda kind: copy.deepcopy(an_object(kind)) == an_object(kind),
    "replace": lambda kind: copy.replace(an_object(kind)) == an_object(kind),  # type: ignore[attr-defined]
    "replace what isn't there": lambda kind: copy.replace(an_object(kind), wrong=1),  # type: ignore[attr-defined]
    "asdict": lambda kind: attrs.asdict(an_object(kind)),
    "astuple": lambda kind: attrs.astuple(an_object(kind)),
    "evolve": lambda kind: attrs.evolve(an_object(kind)),
    "evolve what isn't there": lambda kind: attrs.evolve(an_object(kind), wrong=1),
    "validate": lambda kind: attrs.validate(an_object(kind)),
    "resolve_types": resolved,
    "weakref": lambda kind: weakref.ref(an_object(kind))() is None,
    "an argument too many": lambda kind: an_object(kind, wrong=1),
    "too many positions": lambda kind: kind(*range(20)),
    "an argument twice": lambda kind: kind("x", **{first(kind): "x"}),
    "no arguments": lambda kind: kind(),
    "set": set_first,
    "delete": delete_first,
    "set what isn't there": lambda kind: setattr(an_object(kind), "wrong", 1),
    "derived by attrs": subclass,
    "derived stays frozen": still_frozen,
    "derived": plain_subclass,
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_public_classes(pair: tuple[Any, Any], question: Callable[[Any], Any]) -> None:
    """What anybody can ask of a public class has the answer that it would have were it made by attrs."""
    ours, theirs = pair
    expected = answer(question, theirs)
    assert answer(question, ours) == expected
    for _ in range(70):  # after which it has got another __init__
        answer(an_object, ours)
    assert answer(question, ours) == expected


def test_class_patterns() -> None:
    """A ``match`` statement takes them apart."""
    match wasmoci.Limits(1.0, 5):
        case wasmoci.Limits(time, memory, fuel=None):
            assert (time, memory) == (1.0, 5)
        case _:
            pytest.fail("it doesn't match")


def test_redefined() -> None:
    """An attribute that a class defines anew is its own, and comes last."""
    results = []
    for maker in (attrs, _attrs):

        @maker.frozen
        class Base:
            x: int = 1
            y: int = 2

        @maker.frozen
        class Derived(Base):
            x: str = "x"

        results.append((str(inspect.signature(Derived)), repr(Derived()), Derived.__match_args__))
    assert results[0] == results[1]
