"""Every code of the C library becomes the exception that says what the caller can do about it."""

import errno
import pickle

import pytest

import eastwest
from eastwest import _errors, _native
from eastwest._errors import Code, from_code

WANTED = {
    "EW_EAGAIN": eastwest.Timeout,
    "EW_ETIMEOUT": eastwest.Timeout,
    "EW_EINTR": eastwest.Interrupted,
    "EW_ECLOSED": eastwest.ClosedHere,
    "EW_EEND": eastwest.EndOfChannel,
    "EW_ELOST": eastwest.PeerLost,
    "EW_EPROTO": eastwest.PeerLost,
    "EW_ETOOBIG": eastwest.MessageTooLong,
    "EW_EINVAL": eastwest.ConfigurationError,
    "EW_ENOTFOUND": eastwest.ServiceNotFound,
    "EW_EUNREACHABLE": eastwest.Unreachable,
    "EW_EACCESS": eastwest.Refused,
    "EW_EVERSION": eastwest.Refused,
    "EW_EAPPLICATION": eastwest.Refused,
    "EW_EFULL": eastwest.Refused,
    "EW_EDRAINING": eastwest.Refused,
    "EW_EMEMORY": eastwest.OutOfMemory,
    "EW_EFORKED": eastwest.ForkedError,
    "EW_EINUSE": eastwest.ConfigurationError,
    "EW_EBUG": eastwest.InternalError,
}


def test_codes_are_those_of_the_header() -> None:
    assert {code.name: code.value for code in Code} == _native.error_codes()


def test_every_failing_code_has_a_wanted_class() -> None:
    assert set(WANTED) == set(_native.error_codes()) - {"EW_OK"}


@pytest.mark.parametrize("name", sorted(WANTED))
def test_code_becomes_its_class_with_the_text(name: str) -> None:
    error = from_code(Code[name], "the text")
    assert type(error) is WANTED[name]
    assert "the text" in str(error)


@pytest.mark.parametrize("name", sorted(WANTED))
def test_code_without_text_still_says_something(name: str) -> None:
    assert str(from_code(Code[name]))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (Code.EW_EACCESS, "access"),
        (Code.EW_EVERSION, "version"),
        (Code.EW_EAPPLICATION, "protocol"),
        (Code.EW_EFULL, "full"),
        (Code.EW_EDRAINING, "draining"),
    ],
)
def test_refusal_has_its_reason(code: Code, reason: str) -> None:
    error = from_code(code)
    assert isinstance(error, eastwest.Refused)
    assert error.reason == reason


def test_errno_becomes_an_os_error() -> None:
    error = from_code(-errno.EMFILE, "accept: Too many open files")
    assert isinstance(error, eastwest.SystemCallError)
    assert error.errno == errno.EMFILE
    assert "accept" in str(error)


def test_enomem_is_out_of_memory() -> None:
    assert isinstance(from_code(-errno.ENOMEM), eastwest.OutOfMemory)


@pytest.mark.parametrize("code", [-999, -1020, -5000, 5])
def test_unknown_code_is_our_bug(code: int) -> None:
    error = from_code(code, "text")
    assert isinstance(error, eastwest.InternalError)
    assert str(code) in str(error)


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [
        (eastwest.ConfigurationError, ValueError),
        (eastwest.MessageTooLong, ValueError),
        (eastwest.Timeout, TimeoutError),
        (eastwest.Interrupted, InterruptedError),
        (eastwest.EndOfChannel, EOFError),
        (eastwest.PeerLost, ConnectionError),
        (eastwest.ForkedError, RuntimeError),
        (eastwest.OutOfMemory, MemoryError),
        (eastwest.SystemCallError, OSError),
    ],
)
def test_error_is_also_the_builtin_that_means_it(
    ours: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(ours, builtin)
    assert issubclass(ours, eastwest.EastwestError)


def test_connect_error_has_an_explanation_even_from_a_code() -> None:
    error = from_code(Code.EW_EUNREACHABLE, "nobody")
    assert isinstance(error, eastwest.ConnectError)
    assert error.explanation.chosen is None


def test_refused_survives_pickling() -> None:
    why = eastwest.Explanation("pricing", None)
    error = pickle.loads(pickle.dumps(eastwest.Refused("no", why, "full")))
    assert (str(error), error.reason, error.explanation) == ("no", "full", why)


def test_tree_on_top_of_the_module_is_complete() -> None:
    tree = _errors.__doc__ or ""
    classes = [
        name
        for name, each in vars(_errors).items()
        if isinstance(each, type) and issubclass(each, eastwest.EastwestError)
    ]
    assert [name for name in classes if name not in tree] == []
