"""A kind of file that hark does not write, to show what one takes: this module, and its line in the table.

usage: python toyview.py HARK-ARGUMENTS...     -o x.csv works; after one status of 400 or more hark ends with status 3
"""

import json
import sys

from hark.viewtable import EXPORTS, Export


class Statuses:
    """Status and URL, a line per request."""

    def __init__(self, file):
        self.file = file
        self.failed = False

    def add(self, entry):
        fields = json.loads(entry)
        self.failed = self.failed or fields["response"]["status"] >= 400
        self.file.write(f"{fields['response']['status']},{fields['request']['url']}\n".encode())

    def flush(self):
        pass

    def end(self):
        return 3 if self.failed else 0


def sink(file, version):
    return Statuses(file)


sys.modules["hark.views.toy"] = sys.modules[__name__]
EXPORTS["csv"] = Export("toy", redacted=True)

from hark.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
