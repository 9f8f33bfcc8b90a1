"""The chain of views: what the options ask for, what that needs, and what follows for reading."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hark.cli import Arguments
from hark.destinations import Outputs, open_outputs
from hark.options import Options
from hark.pipeline import build, parallel
from hark.pipeline.pipeline import Pipeline, replay
from hark.recording.blocks import Block
from hark.recording.reader import read
from hark.views.view import Needs, View, needs_of

ROOT = pathlib.Path(__file__).parent.parent.parent
NOTHING, BODIES, ALL = Needs.NOTHING, Needs.BODIES, Needs.BODIES | Needs.STEPS


def chain(words: str, feeds: tuple[int, ...] = ()) -> tuple[list[View], Options, Outputs]:
    options = Options()
    Arguments(words.split(), options).take()
    outputs = open_outputs(options, print)
    return build.build_views(options, outputs, 1, feeds), options, outputs


@pytest.mark.parametrize(
    "words, needs, at_once",
    [
        ("", NOTHING, False),
        ("-v", NOTHING, False),
        ("-vv", BODIES, False),
        ("--json", BODIES, True),
        ("--json --host x --redact --no-failures", BODIES, True),
        ("--json --summary", BODIES, False),
        ("--curl", BODIES, True),
        ("--curl --grep x", BODIES, True),
        ("--grep x", BODIES, False),
        ("--waterfall -q", NOTHING, False),
        ("-q", NOTHING, False),
        ("-q -o x.har -o x.jsonl -o x.html", BODIES, True),
        ("-o x.har", BODIES, False),
    ],
)
def test_what_views_need(words: str, needs: Needs, at_once: bool, tmp_path, monkeypatch) -> None:
    """Bodies are kept where a view needs them, and a large recording is read by several processes where each view can be
    rendered by them: both follow from the views."""
    monkeypatch.chdir(tmp_path)
    views, _, _ = chain(words)
    assert needs_of(views) == needs
    assert bool(parallel.independent(views)) == at_once


def test_a_feed_needs_every_step(tmp_path) -> None:
    reader, writer = os.pipe()
    views, _, _ = chain("", (writer,))
    assert needs_of(views) == ALL
    os.close(reader)
    os.close(writer)


class Late(View):
    """Begins to need bodies when somebody comes."""

    def __init__(self) -> None:
        self.anybody = False
        self.kept: list[int] = []

    def needs(self) -> Needs:
        return ALL if self.anybody else NOTHING

    def change(self, change) -> None:
        if type(change).__name__ == "Ended":
            self.kept.append(len(change.exchange.response_body.raw))


def test_needs_may_grow() -> None:
    """Nothing is kept of bodies until a view needs it."""
    view = Late()
    pipeline = Pipeline([view], 1 << 20)
    counts = []
    for name in ("curl-h1-tls12", "curl-gzip"):
        with open(ROOT / "recordings" / f"{name}.pcapng", "rb") as file:
            for block in read(file, name):
                pipeline.feed(block)
        counts.append(len(view.kept))
        view.anybody = True
        pipeline.tick(0)
    before, after = view.kept[: counts[0]], view.kept[counts[0] :]
    assert before and after and not any(before) and all(after)


FILES = ("x.jsonl", "x.har", "x.html")


def written(words: str, blocks: list[Block], workers: int, folder: pathlib.Path) -> Iterator[bytes]:
    """What is in the files, by several processes or by one."""
    folder.mkdir()
    os.chdir(folder)
    views, options, _ = chain(words + "".join(f" -o {name}" for name in FILES))
    if workers:
        result = parallel.read(lambda: iter(blocks), options.keep, views, workers)
        assert result.done and result.verdict == 0
    else:
        replay(blocks, Pipeline(views, options.keep))
    return (folder.joinpath(name).read_bytes() for name in FILES)


@pytest.mark.parametrize("words", ["-q", "-q --redact", "-q --status 2xx --no-failures", "-q --no-redact --grep e"])
def test_files_by_several_processes(words: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of file, behind filters and redaction, to the byte what one process writes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "urandom", lambda size: bytes(size))  # redaction's salt
    blocks = []
    for path in sorted((ROOT / "recordings").glob("curl-*.pcapng")):
        with open(path, "rb") as file:
            blocks += list(read(file, path.stem))
    alone = list(written(words, blocks, 0, tmp_path / "alone"))
    assert len(alone[0].splitlines()) > 5
    for workers in (2, 3):
        assert list(written(words, blocks, workers, tmp_path / str(workers))) == alone


def test_a_verdict_is_the_exit_status(tmp_path: pathlib.Path) -> None:
    """tests/programs/toyview.py adds a kind of file in a module and a line, and it may decide hark's exit status."""

    def toy(*words: str) -> tuple[int, str]:
        toyview = str(ROOT / "tests" / "programs" / "toyview.py")
        command = [sys.executable, toyview, "read", "-q", "-o", "x.csv", *words]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert run.stderr == ""
        return run.returncode, (tmp_path / "x.csv").read_text()

    status, text = toy(str(ROOT / "recordings" / "curl-h1-tls12.pcapng"))
    assert status == 0 and text.startswith("200,https://")
    entry = {"request": {"method": "GET", "url": "http://h/?token=s3cretvalue"}, "response": {"status": 503}}
    entry |= {"startedDateTime": "2026-01-02T03:04:05.000Z", "time": 1}
    (tmp_path / "in.jsonl").write_text(json.dumps(entry) + "\n")
    status, text = toy("in.jsonl")
    assert status == 3 and text.startswith("503,http://h/?token=") and "s3cretvalue" not in text
