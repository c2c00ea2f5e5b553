import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from edgevid.interrupts import ENDING, counted


@pytest.fixture(autouse=True)
def _as_python_has_them() -> Iterator[None]:
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_interrupts_are_counted_and_raise_nothing_until_the_end(number: signal.Signals) -> None:
    with counted() as interrupts:
        assert interrupts() == 0
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert interrupts() == 2
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_what_a_handler_takes_no_notice_of_is_no_interrupt_and_what_it_puts_in_its_place_stays() -> None:
    def once(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, once)
    with counted() as interrupts:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):
            signal.raise_signal(number)
        assert interrupts() == 1
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_what_was_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with counted() as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts() == 0
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_handlers_are_the_main_threads() -> None:
    seen = []

    def work() -> None:
        with counted() as interrupts:
            seen.append((interrupts(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(0, signal.default_int_handler)]
