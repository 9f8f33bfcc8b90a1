"""Named tuples for what is loaded before the program starts: typing, which has NamedTuple, costs 7 ms of every start.

May hold: the base class. Type checkers take it for typing.NamedTuple; it has what hark uses of that: fields with
defaults, _fields, _replace, equality with tuples.
"""

from operator import itemgetter

__all__ = ["Record"]
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:

    class Record(tuple):
        """A tuple whose fields have the names that its class annotates."""

        __slots__ = ()
        _fields = ()
        _defaults = {}

        def __init_subclass__(cls):
            cls._fields = tuple(cls.__annotations__)
            cls._defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
            for number, name in enumerate(cls._fields):
                setattr(cls, name, property(itemgetter(number)))

        def __new__(cls, *values, **named):
            if len(values) != len(cls._fields):
                named = {**cls._defaults, **named}
                values += tuple(named.pop(name) for name in cls._fields[len(values) :] if name in named)
                if named.keys() - cls._defaults.keys() or len(values) != len(cls._fields):
                    raise TypeError(f"{cls.__name__} has the fields {', '.join(cls._fields)}")
            return tuple.__new__(cls, values)

        def __repr__(self):
            values = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({values})"

        def _replace(self, **named):
            values = [named.pop(name, value) for name, value in zip(self._fields, self, strict=True)]
            if named:
                raise TypeError(f"{type(self).__name__} has no {', '.join(named)}")
            return tuple.__new__(type(self), values)
