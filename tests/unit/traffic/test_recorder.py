"""The recorder on real servers: what is lost is seen, once, by its name, and nothing else is."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from meshproof.errors import BadOutput, BadTarget, NotSettled, TrafficUnknown
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS
from meshproof.tls import Address, ProtocolVersion
from meshproof.traffic import Connections, Ending, Flow, Flown, Record, Recording, record, recorder, sent
from tests.support.certificates import HOST, OURS, SERVER, TRUSTED
from tests.support.programs import PATIENCE
from tests.support.servers import Behaviour, server_context, serving, speak
from tests.support.traffic import logged, traffic_program, traffic_server

NEW, KEPT, STREAM = Connections.NEW, Connections.KEPT, Connections.STREAM
LOST = {10: "/reset", 20: "/truncate", 30: "/status/503", 40: "/hang"}
HTTP1 = {10: "RESET", 20: "TRUNCATED", 30: "ANSWERED 503", 40: "TIMED_OUT"}
HTTP2 = {10: "STREAM_RESET", 20: "STREAM_RESET", 30: "ANSWERED 503", 40: "TIMED_OUT"}
ENOUGH = 50
SELDOM = 5.0  # requests a second: an end is seen long before the next one
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def recorded(*flows: Flow, directory: Path, enough: int = ENOUGH) -> Iterator[Recording]:
    """Record until each flow has had enough requests."""
    with record(*flows, name="a test", program=traffic_program(), directory=directory, seconds=20) as recording:
        yield recording
        recording.wait_for(enough, each=True)


def flown(flow: Flow, directory: Path, enough: int = ENOUGH) -> Flown:
    """Send a flow until there is enough of it."""
    with recorded(flow, directory=directory, enough=enough) as recording:
        pass
    return recording.flows[flow.name]


def to(address: Address, path: str = "/", **asked: object) -> Flow:
    """Return a flow in clear text."""
    return Flow("it", f"http://{address}{path}", rate=200, timeout=1, **asked)  # type: ignore[arg-type]


def lost(result: Flown) -> dict[int, str]:
    """Return which requests were lost, and how."""
    return {failure.sequence: str(failure).removesuffix(" 200") for failure in result.failures}


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("connections", [NEW, KEPT], ids=["new connections", "kept connections"])
def test_what_is_lost_on_purpose_is_seen(connections: Connections, http2: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Of many requests just those that the server loses are lost, each by its name."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        result = flown(to(listening["http"], connections=connections, http2=http2, instead=LOST), tmp_path)
    assert lost(result) == (HTTP2 if http2 else HTTP1)
    assert len(result.answered) == len(result.records) - len(LOST)


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_the_certificates_of_both_are_checked_and_told(http2: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """A flow by TLS shows its client's certificate, and tells the serial number of the server's."""
    files = tmp_path / "server.pem", tmp_path / "server.key"
    SERVER.write_to(*files)
    (tmp_path / "trust.pem").write_bytes(OURS.pem)
    options = [f"--certificate={files[0]}", f"--key={files[1]}", f"--client-authority={tmp_path / 'trust.pem'}"]
    with traffic_server(tmp_path / "log", "--tls=127.0.0.1:0", *options) as listening:
        common = {"address": listening["tls"], "http2": http2, "rate": 20, "trust": OURS.pem}
        flows = [
            Flow("kept", f"https://{HOST}/", client=TRUSTED, body=True, **common),  # type: ignore[arg-type]
            Flow("new", f"https://{HOST}/", client=TRUSTED, connections=NEW, **common),  # type: ignore[arg-type]
            Flow("nobody", f"https://{HOST}/", connections=NEW, **common),  # type: ignore[arg-type]
            Flow("another name", "https://other.example/", client=TRUSTED, **common),  # type: ignore[arg-type]
        ]
        with recorded(*flows, directory=tmp_path, enough=8) as recording:
            pass
    kept, new, nobody, another = (recording.flows[flow.name] for flow in flows)
    assert (kept.failures, new.failures) == ([], [])
    assert {each.peer for each in (*kept.records, *new.records)} == {SERVER.serial}
    assert len({each.number for each in new.records}) == len(new.records)
    assert {each.connection for each in new.records} == {"new"}
    assert len({each.number for each in kept.records}) == 2
    assert json.loads(kept.records[0].body)["tls"]["peer"]["serial"] == str(TRUSTED.serial)
    assert kept.records[0].headers["content-type"] == ["application/json"]
    assert {*new.records[0].body, *new.records[0].headers} == set()
    assert {(each.outcome, each.alert) for each in nobody.records} == {(Ending.TLS_REFUSED, 116)}
    assert {each.outcome for each in another.records} == {Ending.UNTRUSTED}


@pytest.mark.parametrize(
    ("oldest", "newest", "ending"),
    [
        (ssl.TLSVersion.TLSv1_2, ProtocolVersion.TLS_1_2, Ending.ANSWERED),
        (ssl.TLSVersion.TLSv1_3, ProtocolVersion.TLS_1_2, Ending.TLS_REFUSED),
        (ssl.TLSVersion.TLSv1_2, ProtocolVersion.TLS_1_1, Ending.TLS_REFUSED),
        (ssl.TLSVersion.TLSv1_1, ProtocolVersion.TLS_1_1, Ending.ANSWERED),
        (ssl.TLSVersion.TLSv1_3, None, Ending.ANSWERED),
    ],
    ids=["at the minimum", "below it", "an old one below it", "an old one at the minimum", "the newest"],
)
def test_a_flow_offers_no_newer_version_than_it_is_to(
    oldest: ssl.TLSVersion, newest: ProtocolVersion | None, ending: Ending, tmp_path: Path
) -> None:
    """A server with a minimum refuses a flow that offers less, by its alert, and lets in one that offers as much."""
    context = server_context(SERVER, oldest=oldest, newest=ssl.TLSVersion.TLSv1_3)
    with serving(speak(context)) as address:
        flow = Flow("it", f"https://{HOST}/", address=address, trust=OURS.pem, connections=NEW, rate=50, newest=newest)
        result = flown(flow, tmp_path, enough=3)
    assert {each.outcome for each in result.records} == {ending}
    assert {each.alert for each in result.records} == ({70} if ending is Ending.TLS_REFUSED else {None})


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """A port on which nobody listens refuses, and one that speaks no TLS is named."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        where = listening["http"]
        clear = Flow("clear", "https://a.example/", address=where, trust=OURS.pem, rate=100)
        with socket.create_server(("127.0.0.1", 0)) as gone:
            nobody = Address(*gone.getsockname())
        with recorded(clear, to(nobody), directory=tmp_path) as recording:
            pass
    assert {each.outcome for each in recording.flows["clear"].records} == {Ending.NOT_TLS}
    assert {each.outcome for each in recording.flows["it"].records} == {Ending.REFUSED}


def answering(number: int, end: Behaviour) -> Behaviour:
    """Answer so many requests of a connection, read one more, and end it in some way."""

    def behave(connection: socket.socket) -> None:
        for _ in range(number):
            if not connection.recv(65536):
                return
            connection.sendall(OK)
        connection.recv(65536)
        end(connection)

    return behave


def over_tls(behaviour: Behaviour) -> Behaviour:
    """Do the same over TLS."""
    context = server_context(SERVER, oldest=ssl.TLSVersion.TLSv1_2, newest=ssl.TLSVersion.TLSv1_3)

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            behaviour(encrypted)

    return behave


def reset(connection: socket.socket) -> None:
    """End a connection by RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close(connection: socket.socket) -> None:
    """End a connection by FIN."""
    connection.close()


@pytest.mark.parametrize(("end", "ending"), [(reset, Ending.RESET), (close, Ending.CLOSED)], ids=["reset", "closed"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["clear text", "TLS"])
def test_a_request_that_a_kept_connection_swallows_is_lost(
    end: Behaviour, ending: Ending, encrypted: bool, tmp_path: Path  # noqa: FBT001
) -> None:  # fmt: skip
    """Each tenth request is read and not answered: it is lost, and not sent again on another connection."""
    behaviour = answering(9, end)
    with serving(over_tls(behaviour) if encrypted else behaviour) as address:
        flow = Flow("it", f"https://{HOST}/", address=address, trust=OURS.pem, rate=50, count=1)
        result = flown(flow if encrypted else to(address, count=1), tmp_path)
    assert {each.sequence % 10 for each in result.failures} == {9}
    assert {each.outcome for each in result.failures} == {ending}
    assert len(result.failures) == len(result.records) // 10


def announcing(connection: socket.socket) -> None:
    """Answer ten requests, and say with the tenth that the connection ends."""
    for number in range(10):
        if not connection.recv(65536):
            return
        connection.sendall(OK if number < 9 else OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))


def closing_while_idle(connection: socket.socket) -> None:
    """Answer one request, and end the connection by FIN in the segment of the answer."""
    connection.recv(65536)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    connection.sendall(OK)
    connection.close()


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [(announcing, "announced"), (closing_while_idle, "closed while idle")],
    ids=["announced", "closed while idle"],
)
def test_the_end_of_an_idle_connection_is_no_loss(behaviour: Behaviour, why: str, tmp_path: Path) -> None:
    """The next request goes by a new connection, and its record says how the one before had ended."""
    with serving(behaviour) as address:
        result = flown(Flow("it", f"http://{address}/", rate=SELDOM, count=1), tmp_path, enough=12)
    assert result.losses == {}
    assert {each.replaces for each in result.records if each.connection == "new"} == {"", why}


def test_a_close_that_crosses_a_request_is_named(tmp_path: Path) -> None:
    """A request that is written after the server's FIN is told from one that the server has read."""
    with serving(closing_while_idle) as address:
        result = flown(Flow("it", f"http://{address}/", rate=500, count=1), tmp_path)
    assert {each.outcome for each in result.records} <= {Ending.ANSWERED, Ending.CROSSED_CLOSE}


def test_a_long_stream_is_recorded_line_by_line(tmp_path: Path) -> None:
    """Records of a stream follow each other; its end in order is counted apart."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        flow = to(listening["http"], "/stream?every=10ms&for=200ms", connections=STREAM)
        result = flown(flow, tmp_path)
    assert (result.losses, result.lag_p99_ms) == ({}, None)
    assert set(result.ends) == {"STREAM_ENDED"}
    assert result.requests + result.ends.total() == len(result.records)
    assert result.p50_ms is not None
    assert 5 < result.p50_ms < 50


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_server_that_ends_ends_its_streams_in_order(http2: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """A stream from a server that is asked to end is not cut short: it ends in order, or after its announcement."""
    with ExitStack() as server:
        listening = server.enter_context(traffic_server(tmp_path / "log", "--http=127.0.0.1:0"))
        flow = to(listening["http"], "/stream?every=10ms", connections=STREAM, http2=http2)
        with recorded(flow, directory=tmp_path, enough=5) as recording:
            recording.wait_for(5)
            server.close()
            until(lambda: len(recording.flows["it"].ends), 1, what="The number of kinds of ends", timeout=10)
    assert {each.outcome for each in recording.flows["it"].failures} <= {Ending.REFUSED}


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_an_answer_with_another_status_is_no_stream(http2: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Where a stream is refused, that is a loss by its status, and not the end of a stream."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        result = flown(to(listening["http"], "/status/503", connections=STREAM, http2=http2), tmp_path, enough=3)
    assert (set(result.losses), result.ends) == ({"ANSWERED 503"}, {})
    assert result.requests == len(result.failures) == len(result.records)


@pytest.mark.parametrize(
    ("late_ms", "sentence"),
    [(100, ""), (101, "the sender itself was late by 101 ms (p99): the machine was too busy")],
    ids=["in time", "late"],
)
def test_a_sender_that_is_late_is_told_from_one_in_time(late_ms: int, sentence: str) -> None:
    """More than 100 ms are late, of 99 in a hundred requests."""
    woken = late_ms * 1_000_000
    records = [Record("it", number, 0, woken, woken, woken, Ending.ANSWERED, 200) for number in range(100)]
    assert Flown(Flow("it", "http://127.0.0.1/"), records).lateness == sentence


def test_the_files_of_a_recording(tmp_path: Path) -> None:
    """Records, numbers and marks are in a file of JSON lines and in a picture; both clocks match them to a log."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        flow = to(listening["http"], instead=LOST, refusals={Ending.RESET})
        with recorded(flow, directory=tmp_path) as recording:
            recording.mark("a <change>")
    result = recording.flows["it"]
    assert (len(result.refused), len(result.failures)) == (1, 3)
    first, *lines = [json.loads(line) for line in (tmp_path / "a-test.jsonl").read_text().splitlines()]
    at_the_server = logged(tmp_path / "log", 1)[0]["time"]
    apart_ns = first["clock"]["unix_ns"] - first["clock"]["monotonic_ns"]
    assert apart_ns == pytest.approx(time.time_ns() - time.monotonic_ns(), abs=1e9)
    by_its_clock = (apart_ns + result.records[0].sent_ns) / 1e9
    assert 0 <= at_the_server - by_its_clock < PATIENCE
    assert lines[0]["summary"]["failures"] == {"TRUNCATED 200": 1, "ANSWERED 503": 1, "TIMED_OUT": 1}
    assert lines[1]["mark"] == "a <change>"
    assert [line["sequence"] for line in lines[2:]] == list(range(len(result.records)))
    drawing = (tmp_path / "a-test.svg").read_text()
    assert "a &lt;change&gt;" in drawing
    assert "1 ANSWERED 503, 1 TIMED_OUT, 1 TRUNCATED 200" in drawing


def test_a_sender_that_dies_is_not_taken_for_one_that_lost_nothing(tmp_path: Path) -> None:
    """Where the program ends before it is told to, nothing is known, and that is said."""
    program = tmp_path / "traffic"
    program.write_text("#!/bin/sh\nhead -n 1 >/dev/null\necho '{\"began\": 1}'\n")
    program.chmod(0o700)
    flow = Flow("it", "http://127.0.0.1:1/")
    with (
        pytest.raises(TrafficUnknown, match=r"The sender on this machine ended before it was told to: .*'it' is not"),
        record(flow, name="a test", program=program, directory=tmp_path),
    ):
        pass


def test_a_block_that_outlasts_its_recording_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that stops before the block ends has not seen all of it, unless the test had said how long to send."""
    monkeypatch.setattr(recorder, "LONGEST", 0.2)
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        flow, program = to(listening["http"]), traffic_program()
        with (
            pytest.raises(
                TrafficUnknown, match=r"had stopped when the recording ended: .* of 'it' .* than 0\.2 seconds"
            ),
            record(flow, name="without", program=program, directory=tmp_path) as recording,
        ):
            until_it_stops(recording)
        with record(flow, name="with", program=program, directory=tmp_path, seconds=0.2) as recording:
            until_it_stops(recording)


def until_it_stops(recording: Recording) -> None:
    """Wait until its only sender sends no more."""
    (sender,) = recording.senders
    until(lambda: sender.stopped, "that it has stopped", bool, what="The sender", timeout=10)


def test_a_record_that_is_missing_is_missed(tmp_path: Path) -> None:
    """The sender says how many requests there were, and each has to be told of."""
    program = tmp_path / "traffic"
    program.write_text("#!/bin/sh\nhead -n 1 >/dev/null\necho '{\"began\": 1}'\necho '{\"requests\": [1]}'\n")
    program.chmod(0o700)
    with (
        pytest.raises(TrafficUnknown, match="told of 0 of 1 requests of 'it'"),
        record(Flow("it", "http://127.0.0.1:1/"), name="a test", program=program, directory=tmp_path),
    ):
        pass


def test_what_waits_at_the_end_is_not_sent(tmp_path: Path) -> None:
    """Requests that wait for a kept connection in an outage are not sent once the recording has ended, and counted."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        result = flown(to(listening["http"], "/hang", count=1), tmp_path, enough=2)
    assert set(result.losses) == {"TIMED_OUT"}
    assert len(result.records) <= 4
    assert result.unsent > 100


def test_a_name_is_one_recording(tmp_path: Path) -> None:
    """A second recording of the same name would take the place of the first: it is refused before anything is sent."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        flown(to(listening["http"]), tmp_path, enough=1)
        with pytest.raises(BadTarget, match="There is a recording 'a test' in"):
            flown(to(listening["http"]), tmp_path, enough=1)


def test_a_flow_that_can_not_be_sent_is_refused() -> None:
    """Before anything is sent a sentence says what is wrong."""
    with pytest.raises(BadTarget, match="begins with http://"):
        Flow("it", "ftp://a.example/")
    with pytest.raises(BadTarget, match="trusts nobody"):
        Flow("it", "https://a.example/")
    with pytest.raises(BadTarget, match="up to 500 a second"):
        Flow("it", "http://a.example/", rate=1000)
    with pytest.raises(BadTarget, match="offers SSLv3 at most"):
        Flow("it", "http://a.example/", newest=ProtocolVersion.SSL_3)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def frames(octets: bytes) -> list[tuple[int, int, int]]:
    """Return the type, the flags and the stream of each whole frame. Source: RFC 9113, 4.1."""
    parts, at = [], 0
    while at + 9 <= len(octets) and at + 9 + int.from_bytes(octets[at : at + 3], "big") <= len(octets):
        parts.append((octets[at + 3], octets[at + 4], int.from_bytes(octets[at + 5 : at + 9], "big")))
        at += 9 + int.from_bytes(octets[at : at + 3], "big")
    return parts


def draining(*, processed: bool) -> Behaviour:
    """Speak HTTP/2 by hand: on its third stream a connection is announced to end, and that one answered or not."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(SETTINGS)
        heard, answered = b"", set[int]()
        while 5 not in answered:
            if not (more := connection.recv(65536)):
                return
            heard += more
            for kind, _, stream in frames(heard.removeprefix(PREFACE)):
                if kind == 1 and stream not in answered:
                    last = 5 if processed else 3
                    goaway = bytes([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 0]) if stream == 5 else b""
                    ok = bytes([0, 0, 1, 1, 5, 0, 0, 0, stream, 0x88])
                    connection.sendall(goaway + (ok if stream <= last else b""))
                    answered.add(stream)
        connection.recv(65536)

    return behave


def test_an_answer_after_goaway_is_no_loss(tmp_path: Path) -> None:
    """A server that announces the end and then answers has lost nothing; the next request takes a new connection."""
    with serving(draining(processed=True)) as address:
        flow = Flow("it", f"http://{address}/", http2=True, count=1, rate=SELDOM)
        result = flown(flow, tmp_path, enough=12)
    answers = Counter(each.number for each in result.answered)
    assert {answers[number] for number in sorted(answers)[:-1]} == {3}  # the third one came after GOAWAY
    assert {each.replaces for each in result.records} == {"", "announced"}
    assert {each.outcome for each in result.failures} <= {Ending.NOT_PROCESSED}  # what was under way, on a slow machine


def test_a_stream_above_the_last_one_of_goaway_is_named(tmp_path: Path) -> None:
    """What the server says that it has not processed is not sent again, and has its own name."""
    with serving(draining(processed=False)) as address:
        flow = Flow("it", f"http://{address}/", http2=True, count=1, rate=SELDOM)
        result = flown(flow, tmp_path, enough=12)
    assert {each.outcome for each in result.failures} == {Ending.NOT_PROCESSED}
    assert len(result.failures) >= len(result.records) // 3


def test_waiting_for_requests(tmp_path: Path) -> None:
    """So many of all flows together, of each, of some by their names, or since a moment; none is waited for in vain."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        url = f"http://{listening['http']}/"
        flows = [Flow("often", url, rate=200), Flow("seldom", url, rate=SELDOM)]
        with record(*flows, name="a wait", program=traffic_program(), directory=tmp_path, seconds=20) as recording:
            recording.wait_for(20, "often")
            assert len(recording.flows["often"].records) >= 20
            recording.wait_for(3, each=True)
            assert len(recording.flows["seldom"].records) >= 3
            moment = recording.mark("from now on")
            recording.wait_for(30, "often", since_ns=moment)
            assert sum(entry.sent_ns > moment for entry in recording.flows["often"].records) >= 30
            recording.wait_for(recording.requests + 10)


def test_waiting_for_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the status that a flow expects; what has had none is named. What was only sent leaves no files."""
    monkeypatch.setattr(recorder, "TIMEOUTS", replace(TIMEOUTS, behaviour=1.0))
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        url = f"http://{listening['http']}/"
        flows = [Flow("answered", url), Flow("refused", f"{url}status/403"), Flow("denied", url, status=403)]
        with sent(*flows, name="a wait", program=traffic_program()) as recording:
            recording.wait_for_answers("answered")
            with pytest.raises(NotSettled, match=r"no answer in the recording 'a wait'.*refused; denied"):
                recording.wait_for_answers(*(flow.name for flow in flows))
    assert {file.name for file in tmp_path.iterdir()} == {"log"}


def test_after_the_end_nothing_changes(tmp_path: Path) -> None:
    """While it goes on each look at the flows is a new one; once a recording has ended all see the same."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        with recorded(to(listening["http"]), directory=tmp_path) as recording:
            assert recording.flows["it"] is not recording.flows["it"]
        assert recording.flows["it"] is recording.flows["it"]
        assert recording.flows["it"].requests == recording.requests
        assert recording.mark("looked back on", 1) == 1


NO_ERROR, INTERNAL_ERROR = 0, 2


def ending(code: int, *, whole: bool) -> Behaviour:
    """Answer the first stream of a connection, to its end or not, and say by GOAWAY with a code that it ends."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(SETTINGS)
        heard = b""
        while 1 not in [kind for kind, _, _ in frames(heard.removeprefix(PREFACE))]:
            if not (more := connection.recv(65536)):
                return
            heard += more
        answer = bytes([0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88]) + bytes([0, 0, 2, 0, int(whole), 0, 0, 0, 1]) + b"0\n"
        connection.sendall(answer + bytes([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, code]))
        if not whole:
            connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)

    return behave


@pytest.mark.parametrize(
    ("code", "why"), [(NO_ERROR, "announced"), (INTERNAL_ERROR, "ended with an error")], ids=["in order", "by an error"]
)
def test_only_an_end_in_order_is_announced(code: int, why: str, tmp_path: Path) -> None:
    """GOAWAY with an error is no announced end, of a stream or between two requests."""
    with serving(ending(code, whole=True)) as address:
        kept = flown(Flow("it", f"http://{address}/", http2=True, count=1, rate=SELDOM), tmp_path, enough=4)
    with serving(ending(code, whole=False)) as address:
        stream = flown(to(address, connections=STREAM, http2=True), tmp_path / "stream", enough=4)
    assert {each.replaces for each in kept.records} == {"", why}
    assert set(stream.ends) == ({"ANNOUNCED_DRAIN"} if code == NO_ERROR else set())
    assert set(stream.losses) == (set() if code == NO_ERROR else {"TRUNCATED 200"})


def announcing_with_an_answer(connection: socket.socket) -> None:
    """Answer the first stream of a connection without an end, as a proxy does: GOAWAY comes with the next answer."""
    connection.sendall(SETTINGS)
    heard, streams = b"", 0
    while streams < 2:
        if not (more := connection.recv(65536)):
            return
        heard += more
        headers = [stream for kind, _, stream in frames(heard.removeprefix(PREFACE)) if kind == 1]
        for stream in headers[streams:]:
            flags = 4 if stream == 1 else 5
            connection.sendall(bytes([0, 0, 1, 1, flags, 0, 0, 0, stream, 0x88]))
            if stream == 1:
                connection.sendall(bytes([0, 0, 2, 0, 0, 0, 0, 0, 1]) + b"0\n")
        streams = len(headers)
    connection.sendall(bytes([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, NO_ERROR]))
    connection.shutdown(socket.SHUT_WR)
    connection.recv(65536)


def test_a_stream_gives_its_server_occasion_to_announce_the_end(tmp_path: Path) -> None:
    """A proxy does that with an answer: a stream alone on its connection would be cut without a word."""
    with serving(announcing_with_an_answer) as address:
        stream = flown(to(address, connections=STREAM, http2=True), tmp_path, enough=4)
    assert set(stream.ends) == {"ANNOUNCED_DRAIN"}
    assert not stream.losses


def closing(connection: socket.socket) -> None:
    """End a connection in order, and read nothing more: a reset follows what comes after that."""
    connection.shutdown(socket.SHUT_WR)
    connection.close()


def answering_once(streams: list[set[int]], end: Behaviour) -> Behaviour:
    """Answer the first stream of a connection, and end the connection once there is a second one.

    Args:
        streams: Takes those of each connection.
        end: How it is ended.
    """

    def behave(connection: socket.socket) -> None:
        connection.sendall(SETTINGS)
        heard, answered = b"", False
        ours = set[int]()
        streams.append(ours)
        while more := connection.recv(65536):
            heard += more
            ours |= {stream for kind, _, stream in frames(heard.removeprefix(PREFACE)) if kind == 1}
            if 1 in ours and not answered:
                connection.sendall(bytes([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88]))
                answered = True
            if 3 in ours:
                end(connection)
                return

    return behave


@pytest.mark.parametrize(("end", "name"), [(reset, "RESET"), (closing, "CLOSED")], ids=["reset", "closed"])
def test_a_request_of_http2_is_sent_once(end: Behaviour, name: str, tmp_path: Path) -> None:
    """A request that had been written when its connection ended is lost, and not sent again on another one.

    Of so many ends a write hears of some before reading does; each is called what it is all the same.
    """
    streams: list[set[int]] = []
    with serving(answering_once(streams, end)) as address:
        result = flown(Flow("it", f"http://{address}/", http2=True, count=1, rate=400), tmp_path, enough=300)
    assert set(result.losses) == {name}
    assert sum(map(len, streams)) <= result.requests


def test_a_connection_that_is_reset_at_once(tmp_path: Path) -> None:
    """It was no end in order, whether reading or the write of the request hears of it first."""
    with serving(reset) as address:
        result = flown(Flow("it", f"http://{address}/", rate=400, connections=NEW), tmp_path, enough=300)
    assert set(result.losses) == {"RESET"}


def test_records_that_cannot_be_written(tmp_path: Path) -> None:
    """One sentence names the directory and why; what is known of the flows stays."""
    directory = tmp_path / "traffic"
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        flow = to(listening["http"])
        with (
            pytest.raises(BadOutput, match=rf"'a test' to {directory}: File exists\."),
            recorded(flow, directory=directory) as recording,
        ):
            directory.write_text("a file where the directory is to be")
    assert recording.flows["it"].answered
