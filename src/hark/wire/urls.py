"""URLs, split into their parts (RFC 3986 §3)."""

from hark.record import Record


class Url(Record):
    """The parts of an absolute URL, as written."""

    scheme: str  # "" if it is no absolute URL
    authority: str  # host with port and user information
    rest: str  # path, query and fragment; all of it without a scheme


def split(url: str) -> Url:
    """The parts of a URL. It never fails: what is no absolute URL is all in `rest`."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return Url("", "", url)
    cut = min((at for at in (rest.find(sign) for sign in "/?#") if at >= 0), default=len(rest))
    return Url(scheme, rest[:cut], rest[cut:])
