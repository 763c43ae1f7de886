"""Frozen data classes as those of attrs, made without its cost: for the classes on the way of every start.

attrs takes 15 ms to be imported, and as long again to write and compile the methods of the 45 classes that a run loads, most of which
it makes a few of. Here the methods are written once for all classes, and only a class that is made often gets an ``__init__`` of its own.

It is used as ``attrs`` itself, which type checkers see in its place. For everybody else these *are* classes of attrs: what is not here is
taken from there, and :func:`attrs.evolve`, :func:`attrs.asdict` and :func:`attrs.fields` take them.
"""

from __future__ import annotations

from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

_NOTHING: Any = object()
_PATIENCE = 64  # objects, after which a class gets a faster __init__, whose making takes as long as that of so many


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
        default: Any = _NOTHING,
        *,
        factory: Callable[[], Any] | None = None,
        validator: Callable[[Any, Any, Any], None] | None = None,
        init: bool = True,
        repr: bool = True,  # noqa: A002  as attrs calls it
        eq: bool = True,
    ) -> None:
        self.name = self.alias = ""
        self.default, self.factory, self.validator = default, factory, validator
        self.init, self.repr, self.eq = init, repr, eq
        self.kw_only = False

    @property
    def required(self) -> bool:
        """Whether a value has to be given."""
        return self.init and self.default is _NOTHING and self.factory is None

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
        fields = (*_inherited(cls), *_own(cls, kw_only=kw_only))
        members: dict[str, Any] = {
            "__init__": _first_init(cls, fields),
            "__match_args__": tuple(item.name for item in fields if item.init and not item.kw_only),
            "__wasmoci_fields__": fields,
            "__attrs_attrs__": _AttrsFields(),
        }
        if eq and "__eq__" not in vars(cls):
            equal, hashed = _comparing(fields)
            members |= {"__eq__": equal, "__hash__": hashed if frozen else None}
        if frozen:
            members |= {"__setattr__": _refuse, "__delattr__": _refuse}
        if repr and "__repr__" not in vars(cls):
            members["__repr__"] = _repr
        for name, member in members.items():
            setattr(cls, name, member)
        return cls

    return decorate if cls is None else decorate(cls)


def evolve(instance: Any, /, **changes: Any) -> Any:
    """See :func:`attrs.evolve`."""
    fields = getattr(instance, "__wasmoci_fields__", None)
    if fields is None:
        import attrs  # noqa: PLC0415

        return attrs.evolve(instance, **changes)
    for item in fields:
        if item.init and item.alias not in changes:
            changes[item.alias] = getattr(instance, item.name)
    return type(instance)(**changes)


class _AttrsFields:
    """A class's attributes as attrs describes them, made when somebody asks."""

    def __get__(self, _instance: object, owner: Any) -> Any:
        import attrs  # noqa: PLC0415

        described = {}
        for item in owner.__wasmoci_fields__:
            default = attrs.NOTHING if item.default is _NOTHING else item.default
            made = attrs.field(
                default=default if item.factory is None else attrs.Factory(item.factory),
                validator=item.validator,
                init=item.init,
                repr=item.repr,
                eq=item.eq,
                kw_only=item.kw_only,
            )
            described[item.name] = made
        fields = attrs.fields(attrs.make_class(owner.__name__, described))
        owner.__attrs_attrs__ = fields
        return fields


def _inherited(cls: type) -> Sequence[Field]:
    return getattr(cls, "__wasmoci_fields__", ())


def _own(cls: type, *, kw_only: bool) -> list[Field]:
    fields = []
    for name, annotation in vars(cls).get("__annotations__", {}).items():
        if str(annotation).startswith(("ClassVar", "typing.ClassVar")):
            continue
        given = vars(cls).get(name, _NOTHING)
        item = given if isinstance(given, Field) else Field(given)
        item.name, item.alias, item.kw_only = name, name.lstrip("_"), kw_only
        fields.append(item)
        if given is not _NOTHING:
            delattr(cls, name)
    return fields


def _first_init(cls: type, fields: tuple[Field, ...]) -> Callable[..., None]:
    """An ``__init__`` for the first few objects, which then gives its place to one that is faster."""
    positional = [item.alias for item in fields if item.init and not item.kw_only]
    names = {item.alias for item in fields if item.init}
    required = {item.alias for item in fields if item.required}
    count = 0

    def __init__(self: Any, *args: Any, **given: Any) -> None:  # noqa: N807
        nonlocal count
        count += 1
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

    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    return __init__


def _compile(cls: type, fields: tuple[Field, ...]) -> Callable[..., None]:
    """An ``__init__`` that is written for a class."""
    scope: dict[str, Any] = {"NOTHING": _NOTHING}
    parameters = ["self"]
    keywords: list[str] = []
    lines = ["    values = self.__dict__"]
    for index, item in enumerate(fields):
        scope[f"f{index}"] = item
        value = f"f{index}.value()"
        if item.init:
            text = item.alias if item.required else f"{item.alias}=NOTHING"
            (keywords if item.kw_only else parameters).append(text)
            value = item.alias if item.required else f"{value} if {item.alias} is NOTHING else {item.alias}"
        lines.append(f"    values[{item.name!r}] = {value}")
    lines += [
        f"    f{index}.validator(self, f{index}, values[{item.name!r}])"
        for index, item in enumerate(fields)
        if item.validator is not None
    ]
    star = ["*"] if keywords else []
    source = f"def __init__({', '.join(parameters + star + keywords)}):\n" + "\n".join(lines)
    exec(source, scope)  # noqa: S102  of names that are in our own source
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _refuse(_self: object, *_: object) -> NoReturn:
    from attrs.exceptions import FrozenInstanceError  # noqa: PLC0415

    raise FrozenInstanceError


def _comparing(fields: tuple[Field, ...]) -> tuple[Callable[[Any, Any], Any], Callable[[Any], int]]:
    """``__eq__`` and ``__hash__`` of a class."""
    names = [item.name for item in fields if item.eq]
    values: Callable[[Any], Any] = attrgetter(*names) if names else type

    def __eq__(self: Any, other: Any) -> Any:  # noqa: N807
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(values(self))

    return __eq__, __hash__


def _repr(self: Any) -> str:
    shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in self.__wasmoci_fields__ if f.repr)
    return f"{type(self).__qualname__.rpartition('>.')[2]}({shown})"
