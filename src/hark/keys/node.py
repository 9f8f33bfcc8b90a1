"""Node: a hook that every Node process of the tree loads, on the 'keylog' event of its TLS sockets.

What   NODE_OPTIONS=--require=HOOK, in front of what the user has there. The hook writes to the tree's private key log.
Why    Node carries its own OpenSSL inside the executable and ignores SSLKEYLOGFILE.
Limits A program that is started with NODE_OPTIONS removed is not heard.
"""


def require(environment: dict[str, str], hook: str) -> dict[str, str]:
    """The variable that loads the hook."""
    path = hook.replace("\\", "\\\\").replace('"', '\\"')
    option = f'--require="{path}"' if " " in hook else f"--require={hook}"
    before = environment.get("NODE_OPTIONS", "")
    return {"NODE_OPTIONS": f"{option} {before}" if before else option}
