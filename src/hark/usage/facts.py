"""What the manual says beside the options: exit statuses, environment variables, files.

May hold: tables of text. docs/command-line.md shows the same ones, which a test compares.
"""

from typing import Final

STATUSES: Final = (
    ("0", "hark read, watch, ui and doctor: all is well."),
    ("the command's", "hark COMMAND, hark ui COMMAND: what COMMAND returned; 128 + N where signal N ended it."),
    ("1", "hark could not do what was asked, and said why in one line; hark read: a capture was damaged or cut off, "
          "and what could be read was shown; hark doctor: hark COMMAND does not work here."),
    ("2", "the command line cannot be understood, or its options do not go together. Nothing was run or written."),
    ("126", "COMMAND was found and cannot be run."),
    ("127", "COMMAND was not found."),
    ("130", "^C ended hark read, hark watch or hark itself."),
    ("141", "whoever read hark's standard output has closed it, as a program ended by SIGPIPE."),
)  # fmt: skip

READ: Final = (
    ("NO_COLOR", "where it is set, even to nothing, output has no colours."),
    ("TERM", "dumb: output has no colours."),
    ("PATH", "where COMMAND is looked for."),
    ("SSLKEYLOGFILE", "a key log of your own: it is written as without hark, and hark follows it."),
    ("NODE_OPTIONS, LD_PRELOAD", "what stands there stays; hark adds its own."),
    ("TMPDIR", "where the temporary files of --devtools and hark ui are made; they have no name."),
    ("TZ", "the time zone of --time."),
    ("XDG_CACHE_HOME", "where the profile of the browser that --devtools opens is kept; else ~/.cache."),
    ("DISPLAY, WAYLAND_DISPLAY", "--devtools opens a window where there is one of them."),
)  # fmt: skip

SET: Final = (
    ("LD_PRELOAD", "the agent that reads the TLS secrets of OpenSSL."),
    ("SSLKEYLOGFILE", "a private file, where you have set none."),
    ("NODE_OPTIONS", "--require of the hook that reads the TLS secrets of Node.js."),
)  # fmt: skip

EXAMPLES: Final = (
    ("hark -v curl https://example.com/", "a request with its headers"),
    ("hark -o trace.pcapng -o trace.har npm install", "keep packets, which Wireshark opens decrypted, and a HAR file"),
    ("hark --json=3 --status 5xx make test 3>errors.jsonl", "only server errors, as JSON, beside the lines"),
    ("hark read -o -:har trace.pcapng | jq .log.entries", "convert a capture"),
    ("hark read --keys keys.log --summary trace.pcap", "a capture of tcpdump with a key log beside it"),
    ("hark --completions bash > ~/.local/share/bash-completion/completions/hark", "completion for bash"),
)  # fmt: skip
