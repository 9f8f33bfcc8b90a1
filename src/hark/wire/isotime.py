"""Times as text: ns since the epoch from and to ISO 8601, without a clock or a time zone.

May hold: pure functions. May not hold: what the time is.
"""

import re
from functools import lru_cache

# ISO 8601 with and without its separators, down to a date alone; a zone or none.
_ISO = re.compile(
    r"\s*(\d{4})-?(\d\d)-?(\d\d)(?:[Tt ]+(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9})\d*)?)?)?\s*"
    r"([Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?\s*$"
)


def iso(ns: int) -> str:
    """A time in UTC with microseconds."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(64)
def _second(seconds: int) -> str:
    """The date and time of a second since 1970 (without a clock or a time zone, so that replay gives the same)."""
    days, left = divmod(seconds, 86400)
    days += 719468
    era, doe = divmod(days, 146097)
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    year, day = yoe + era * 400 + (month <= 2), doy - (153 * mp + 2) // 5 + 1
    return f"{year:04d}-{month:02d}-{day:02d}T{left // 3600:02d}:{left // 60 % 60:02d}:{left % 60:02d}"


def time_ns(text: str) -> int:
    """A time in ISO 8601 as ns since the epoch; 0 for what is none."""
    found = _ISO.match(text)
    if found is None:
        return 0
    year, month, day, hour, minute, second = (int(number or 0) for number in found.groups()[:6])
    year -= month <= 2
    era, yoe = divmod(year, 400)
    doy = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
    ns = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000
    zone = found[8] or "Z"
    if zone[0] in "+-":
        away = int(zone[1:3]) * 60 + int(zone[3:].lstrip(":") or 0)
        ns -= (away if zone[0] == "+" else -away) * 60_000_000_000
    return max(ns + int((found[7] or "0").ljust(9, "0")), 0)
