"""Telling a program's own words from its guest's."""

from __future__ import annotations

import pytest
from wasmoci_command.output import Report

from wasmoci.stdio import Sink

MARK = b"Error: /tmp/x"
STREAMS = {
    "no words": (b"guest\n", b"guest\n", b""),
    "words": (b"guest\nError: /tmp/x failed\nwhy\n", b"guest\n", b"Error: /tmp/x failed\nwhy\n"),
    "another beginning": (b"Error: Error: /tmp/x", b"Error: ", b"Error: /tmp/x"),
    "a mark that isn't whole": (b"guest Error: /tm", b"guest Error: /tm", b""),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_report(name: str, size: int) -> None:
    """What comes before the mark is the guest's, however the stream is cut into chunks."""
    stream, guest, words = STREAMS[name]
    sink = Sink(limit=1000)
    report = Report(sink, MARK)
    for start in range(0, len(stream), size):
        report.sink.write(stream[start : start + size])
    report.finish()
    assert (sink.captured, report.words) == (guest, words)


def test_without_a_mark_all_is_passed_on() -> None:
    """The words are the end of it."""
    sink = Sink(limit=1000)
    report = Report(sink, None)
    report.sink.write(b"guest or program")
    assert (sink.captured, report.words) == (b"guest or program", b"guest or program")
