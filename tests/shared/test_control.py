"""The control socket's packets: what a template may say, and what nobody believes."""

import socket
from collections.abc import Iterator

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import control

REPORTS: list[control.Report] = [
    control.Stage("rehearsing"),
    control.Ready(3, ["echo:Echo"], 1.5, 2.5, 1 << 20, ["note"]),
    control.Refused("it is broken", "Traceback"),
    control.Forked(7, 4242),
    control.ForkFailed(7, "EAGAIN"),
    control.Exited(4242, 9, 0.25, 1 << 30),
    control.Exited(4242, None, 0.0, 0),
]
ORDERS: list[control.Order] = [control.Fork(1, "callfarm call CA1", 0), control.Reap(4242)]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_a_report_arrives_as_it_was_sent(
    report: control.Report, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = ends
    control.send(theirs, report)
    assert control.decode_report(ours.recv(control.MAX_PACKET)) == report


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
def test_orders_are_no_reports_and_reports_no_orders(order: control.Order) -> None:
    with pytest.raises(control.ControlError):
        control.decode_report(msgpack.packb(msgspec.to_builtins(order)))
    for report in REPORTS:
        with pytest.raises(control.ControlError):
            control.decode_order(msgpack.packb(msgspec.to_builtins(report)))


def test_every_kind_has_a_name_of_its_own() -> None:
    kinds = {type(packet) for packet in (*REPORTS, *ORDERS)}
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds)


def test_an_order_brings_its_descriptors(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    control.send(ours, ORDERS[0], (ours.fileno(), theirs.fileno()))
    data, fds, _, _ = socket.recv_fds(theirs, control.MAX_PACKET, 2)
    assert control.decode_order(data) == ORDERS[0]
    assert len(fds) == 2
    for fd in fds:
        socket.close(fd)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_report_or_a_control_error(data: bytes) -> None:
    for decode in (control.decode_report, control.decode_order):
        try:
            found = decode(data)
        except control.ControlError:
            continue
        assert isinstance(found, msgspec.Struct)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_tags = st.sampled_from(["stage", "ready", "refused", "forked", "fork-failed", "exited", "fork"])


@given(_tags, st.lists(_values, max_size=8))
def test_a_known_packet_with_strange_fields_is_right_or_refused(
    tag: str, fields: list[object]
) -> None:
    try:
        report = control.decode_report(msgpack.packb([tag, *fields]))
    except control.ControlError:
        return
    match report:
        case control.Forked(_, pid) | control.Exited(pid):
            assert pid > 0
        case _:
            pass


@pytest.mark.parametrize(
    "packet",
    [
        ["exited", 0, 0, 0.0, 0],
        ["exited", -1, 0, 0.0, 0],
        ["exited", 12, 1 << 16, 0.0, 0],
        ["exited", 12, -1, 0.0, 0],
        ["exited", 12, 0, 0.0, -5],
        ["forked", 1, 0],
        ["forked", 1, -9],
        ["forked", 1, "12"],
        ["forked", 1, 12, "more"],
        ["reap", 12],
        {"type": "stage"},
        "stage",
    ],
)
def test_what_no_template_says_is_refused(packet: object) -> None:
    with pytest.raises(control.ControlError):
        control.decode_report(msgpack.packb(packet))


@given(st.text(st.characters(exclude_categories=()), max_size=300), st.integers(40, 200))
def test_any_text_fits_into_a_packet(text: str, size: int) -> None:
    fitted = control.fit(text, size)
    assert len(fitted.encode()) <= size
    if len(text.encode(errors="backslashreplace")) <= size:
        assert fitted == text.encode(errors="backslashreplace").decode()


def test_a_long_traceback_keeps_its_beginning_and_its_end() -> None:
    fitted = control.fit("Traceback" + "\u20ac" * 60_000 + "KeyError: 1")
    assert len(fitted.encode()) <= control.MAX_REPORT
    assert fitted.startswith("Traceback")
    assert fitted.endswith("KeyError: 1")
    assert "\n...\n" in fitted
