import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from edgevid.interrupts import ENDING, counted, held_back, pending


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


def test_one_inside_the_other_is_heard_by_both() -> None:
    with counted() as outer:
        signal.raise_signal(signal.SIGINT)
        with counted() as inner:
            assert (outer(), inner(), pending()) == (1, 0, True)
            signal.raise_signal(signal.SIGTERM)
            assert (outer(), inner()) == (2, 1)
        signal.raise_signal(signal.SIGINT)
        assert outer() == 3
    assert not pending()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with counted() as later:
        assert (later(), pending()) == (0, False)


def test_what_is_held_back_is_raised_at_the_end_whatever_else_was() -> None:
    reached = []

    def struck(error: Exception | None = None, number: int | None = signal.SIGINT) -> None:
        with held_back():
            if number is not None:
                signal.raise_signal(number)
            reached.append(pending())
            if error is not None:
                raise error

    with pytest.raises(KeyboardInterrupt):
        struck()
    with pytest.raises(KeyboardInterrupt):
        struck(ValueError("what the interrupted read made of it"))
    with pytest.raises(ValueError, match="its own"):
        struck(ValueError("its own"), None)
    with counted() as interrupts:
        with held_back():
            signal.raise_signal(signal.SIGINT)
        assert interrupts() == 1
    assert reached == [True, True, False]


def test_one_that_comes_as_the_handlers_are_put_back_is_raised_and_deafens_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_handler = signal.signal

    def struck(number: int, handler: Callable[[int, FrameType | None], object]) -> object:
        was = set_handler(number, handler)
        if handler is signal.default_int_handler:
            monkeypatch.undo()
            signal.raise_signal(number)
        return was

    with pytest.raises(KeyboardInterrupt), counted():
        monkeypatch.setattr(signal, "signal", struck)
    for number in ENDING:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    with counted() as interrupts:
        for number in ENDING:
            signal.raise_signal(number)
        assert interrupts() == len(ENDING)
