"""Where a frontend finds the server.

May hold: URLs. Apart from the server, whose libraries the process that prints the URL does not need.
"""

APP = "devtools_app.html"  # the one that has a Network panel and a Security panel


def page(port: int, key: str) -> str:
    """The frontend's page with what it connects to. By number, for the frontend's policy allows no name."""
    return f"{APP}?ws=127.0.0.1:{port}/devtools/page/{key}&panel=network"


def frontend_url(port: int, key: str) -> str:
    """What is pasted into the address bar of a Chromium: its own frontend, connected to us."""
    return f"devtools://devtools/bundled/{page(port, key)}"
