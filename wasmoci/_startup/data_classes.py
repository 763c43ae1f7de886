"""Creates frozen data classes like those of attrs, without the cost of attrs, for classes that every start needs.

attrs takes 28 ms to be imported, and 15 ms to write and compile the methods of the 45 classes that a run loads, most of which it makes
a few of. Here the methods are written once for all classes, and only a class that is made often gets an ``__init__`` of its own.

It is used as ``attrs`` itself, which type checkers see in its place. For everybody else these *are* classes of attrs: what somebody asks
of one that isn't here, as its signature or its attributes, :mod:`.attrs_twin` has attrs make.
"""

from __future__ import annotations

import sys
from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

NOTHING: Any = object()
_PATIENCE = 64  # objects, after which a class gets a faster __init__, which takes as long to compile as creating these


class Field:
    """What is known of an attribute; a validator is called with it, of which it may use the name.

    Args:
        default: The value where none is given.
        factory: Makes that value.
        validator: Called with the object, this, and the value; raises what it has against it.
        init: Whether it is a parameter.
        repr: Whether it is shown.
        eq: Whether it is compared.
    """

    def __init__(
        self,
        default: Any = NOTHING,
        *,
        factory: Callable[[], Any] | None = None,
        validator: Callable[[Any, Any, Any], None] | None = None,
        init: bool = True,
        repr: bool = True,  # noqa: A002  as attrs calls it
        eq: bool = True,
    ) -> None:
        self.name = self.alias = self.annotation = ""
        self.default, self.factory, self.validator = default, factory, validator
        self.init, self.repr, self.eq = init, repr, eq
        self.kw_only = False

    @property
    def required(self) -> bool:
        """Whether a value has to be given."""
        return self.init and self.default is NOTHING and self.factory is None

    def value(self) -> Any:
        """The value where none is given."""
        return self.default if self.factory is None else self.factory()


field = Field


def frozen(cls: type | None = None, **options: bool) -> Any:
    """See :func:`attrs.frozen`, with ``kw_only``, ``eq`` and ``repr``; the objects have a ``__dict__``, whatever is said of slots."""
    return define(cls, frozen=True, **options)


def define(
    cls: type | None = None,
    *,
    frozen: bool = False,
    kw_only: bool = False,
    eq: bool = True,
    repr: bool = True,  # noqa: A002
    slots: bool = True,  # noqa: ARG001
) -> Any:
    """See :func:`attrs.define`, and :func:`frozen`."""

    def decorate(cls: type) -> type:
        fields = _own(cls, kw_only=kw_only)
        inherited: tuple[Field, ...] = getattr(cls, "_wasmoci_fields", ())
        if inherited:
            redefined = {item.name for item in fields}
            fields = [*(item for item in inherited if item.name not in redefined), *fields]
        members: dict[str, Any] = {
            "__init__": _ready(_first_init(cls, fields), cls, fields),
            "__match_args__": tuple([item.name for item in fields if item.init and not item.kw_only]),
            "_wasmoci_fields": tuple(fields),
            **_OF_ATTRS,
        }
        if eq and "__eq__" not in vars(cls):
            equal, hashed = _comparing(cls, fields)
            members |= {"__eq__": equal, "__hash__": hashed if frozen else None}
        if frozen:
            members |= _FROZEN
        if repr and "__repr__" not in vars(cls):
            members["__repr__"] = vars(_Shown)["__repr__"]
        if sys.version_info >= (3, 13):
            members["__replace__"] = evolve
        for name, member in members.items():
            setattr(cls, name, member)
        return cls

    return decorate if cls is None else decorate(cls)


def evolve(instance: Any, /, **changes: Any) -> Any:
    """See :func:`attrs.evolve`."""
    fields = vars(type(instance)).get("_wasmoci_fields")
    if fields is None:
        import attrs  # noqa: PLC0415

        return attrs.evolve(instance, **changes)
    for item in fields:
        if item.init and item.alias not in changes:
            changes[item.alias] = getattr(instance, item.name)
    return type(instance)(**changes)


class _OfAttrs:
    """A member of a class as attrs makes it, once somebody asks for it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: Any) -> Any:
        from wasmoci._startup import attrs_twin  # noqa: PLC0415

        member = getattr(attrs_twin.of(owner), self._name)
        return member.__get__(instance, owner) if callable(member) else member


_OF_ATTRS = {name: _OfAttrs(name) for name in ("__attrs_attrs__", "__attrs_props__")}
_FROZEN = {name: _OfAttrs(name) for name in ("__setattr__", "__delattr__")}


class _Described:
    """What :mod:`inspect` and :mod:`typing` find behind an ``__init__``: how attrs would have written it."""

    def __init__(self, cls: type) -> None:
        self._cls = cls

    @property
    def __signature__(self) -> inspect.Signature:
        import inspect  # noqa: PLC0415

        from wasmoci._startup import attrs_twin  # noqa: PLC0415

        return inspect.signature(attrs_twin.of(self._cls).__init__)

    @property
    def __globals__(self) -> Mapping[str, Any]:
        return vars(sys.modules[self._cls.__module__])


def _own(cls: type, *, kw_only: bool) -> list[Field]:
    fields = []
    for name, annotation in vars(cls).get("__annotations__", {}).items():
        if str(annotation).startswith(("ClassVar", "typing.ClassVar")):
            continue
        given = vars(cls).get(name, NOTHING)
        item = given if isinstance(given, Field) else Field(given)
        item.name, item.alias, item.annotation, item.kw_only = name, name.lstrip("_"), annotation, kw_only
        fields.append(item)
        if given is not NOTHING:
            delattr(cls, name)
    return fields


def _first_init(cls: type, fields: Sequence[Field]) -> Callable[..., None]:
    """An ``__init__`` for the first few objects, which then gives its place to one that is faster."""
    count = 0
    expected: Any = None

    def __init__(self: Any, *args: Any, **given: Any) -> None:  # noqa: N807
        nonlocal count, expected
        count += 1
        if expected is None:  # now and not before: most classes of a start get no object
            expected = (
                [item.alias for item in fields if item.init and not item.kw_only],
                {item.alias for item in fields if item.init},
                {item.alias for item in fields if item.required},
            )
        positional, names, required = expected
        from_position = dict(zip(positional, args, strict=False))
        complete = required <= from_position.keys() | given.keys()
        fits = len(args) <= len(positional) and given.keys() <= names and not from_position.keys() & given.keys()
        if count > _PATIENCE or not (complete and fits):
            init = _compile(cls, fields)
            if vars(cls).get("__init__") is __init__:
                type.__setattr__(cls, "__init__", init)
            init(self, *args, **given)  # which raises TypeError as Python does
            return
        given |= from_position
        values = vars(self)
        for item in fields:
            values[item.name] = given[item.alias] if item.alias in given and item.init else item.value()
        for item in fields:
            if item.validator is not None:
                item.validator(self, item, values[item.name])

    return __init__


def _ready(init: Callable[..., None], cls: type, fields: Sequence[Field]) -> Callable[..., None]:
    """An ``__init__`` that introduces itself as that of attrs does."""
    _named(init, cls)
    init.__annotations__ = {"return": None, **{item.alias: item.annotation for item in fields if item.init}}
    init.__wrapped__ = _Described(cls)  # type: ignore[attr-defined]
    return init


def _named(method: Any, cls: type) -> None:
    """Give a method the names that it would have, had it been written in the class."""
    name = cls.__qualname__
    method.__module__ = cls.__module__
    method.__qualname__ = f"{name}.{method.__name__}"
    method.__doc__ = f"Method generated by attrs for class {name}."
    method.__annotations__ = {}


def _compile(cls: type, fields: Sequence[Field]) -> Callable[..., None]:
    """An ``__init__`` that is written for a class."""
    scope: dict[str, Any] = {"NOTHING": NOTHING}
    parameters = ["self"]
    keywords: list[str] = []
    lines = ["    values = self.__dict__"]
    checks = []
    for index, item in enumerate(fields):
        scope[f"f{index}"], scope[f"d{index}"] = item, item.default
        value, check = f"f{index}.value()", f"    f{index}.validator(self, f{index}, values[{item.name!r}])"
        if item.init:
            text = item.alias if item.required else f"{item.alias}=d{index}"
            (keywords if item.kw_only else parameters).append(text)
            value = item.alias if item.factory is None else f"{value} if {item.alias} is NOTHING else {item.alias}"
            if item.factory is None and not item.required:
                check = f"    if {item.alias} is not d{index}:\n    {check}"
        lines.append(f"    values[{item.name!r}] = {value}")
        if item.validator is not None:
            checks.append(check)
    star = ["*"] if keywords else []
    source = f"def __init__({', '.join(parameters + star + keywords)}):\n" + "\n".join(lines + checks)
    exec(source, scope)  # noqa: S102  of names that are in our own source
    return _ready(scope["__init__"], cls, fields)


def _comparing(cls: type, fields: Sequence[Field]) -> tuple[Callable[[Any, Any], Any], Callable[[Any], int]]:
    """``__eq__`` and ``__hash__`` of a class."""
    names = [item.name for item in fields if item.eq]
    values: Callable[[Any], Any] = attrgetter(*names) if names else type

    def __eq__(self: Any, other: Any) -> Any:  # noqa: N807
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(values(self))

    for method in (__eq__, __hash__):
        _named(method, cls)
    return __eq__, __hash__


class _Shown:
    def __repr__(self: Any) -> str:
        """Method generated by attrs."""
        shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in self._wasmoci_fields if f.repr)
        return f"{type(self).__qualname__.rpartition('>.')[2]}({shown})"


_Shown.__repr__.__annotations__.clear()
