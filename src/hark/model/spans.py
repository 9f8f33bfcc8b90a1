"""Time spans as text."""


def duration(ns: int) -> str:
    """A time span, short: 0.4 ms, 12 ms, 1.2 s, 3 min."""
    if ns < 9_950_000:
        return f"{max(ns, 0) / 1e6:.1f} ms"
    if ns < 999_500_000:
        return f"{ns / 1e6:.0f} ms"
    if ns < 120_000_000_000:
        return f"{ns / 1e9:.1f} s"
    return f"{ns / 60e9:.0f} min"
