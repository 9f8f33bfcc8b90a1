"""Named tuples for what every start loads: typing, which has NamedTuple, costs 5 ms, and each NamedTuple 0.1 ms more.

What   The base class. Type checkers take it for typing.NamedTuple; it has what hark uses of that: fields with defaults,
       _fields, _replace, match patterns, equality with tuples. To make one and to read its fields takes as long.
How    The function that makes an instance is compiled for the first instance, not with the class.
"""

__all__ = ["Record"]
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from _collections import _tuplegetter

    class Record(tuple):
        """A tuple whose fields have the names that its class annotates."""

        __slots__ = ()
        _fields = ()
        _defaults = {}

        def __init_subclass__(cls):
            cls._fields = cls.__match_args__ = tuple(cls.__annotations__)
            cls._defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
            for number, name in enumerate(cls._fields):
                setattr(cls, name, _tuplegetter(number, ""))

        def __new__(cls, *values, **named):
            cls.__new__ = staticmethod(_maker(cls))
            return cls.__new__(cls, *values, **named)

        def __repr__(self):
            values = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({values})"

        def _replace(self, **named):
            values = [named.pop(name, value) for name, value in zip(self._fields, self, strict=True)]
            if named:
                raise TypeError(f"{type(self).__name__} has no {', '.join(named)}")
            return tuple.__new__(type(self), values)

    def _maker(cls):
        """What makes instances of a class: its parameters are the fields."""
        words = ", ".join(f"{name}=_defaults[{name!r}]" if name in cls._defaults else name for name in cls._fields)
        tail = "," if len(cls._fields) == 1 else ""
        code = f"lambda _cls, {words}: _new(_cls, ({', '.join(cls._fields)}{tail}))"
        return eval(code, {"_new": tuple.__new__, "_defaults": cls._defaults})
