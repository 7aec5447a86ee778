"""Refusals: status and body of an answer to the error that it means, and to nothing else."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.cloud.refusals import read_answer, retry_after_seconds
from collector.errors import (
    RETRYABLE,
    AnswerError,
    CollectorError,
    DeviceUnknown,
    KeyRefused,
    RateLimited,
    Rejected,
    SourceError,
    Unavailable,
)
from collector.simulator import Device
from collector.simulator.api import as_json
from tests.support.cloud_faults import REDIRECTS, REFUSALS
from tests.support.stand_in_cloud import EM_ID, raw_answer, sample, sample_body

_MEANT: dict[str, type[SourceError]] = {
    "max_req": RateLimited,
    "too_many_requests": RateLimited,
    "bad_key": KeyRefused,
    "unexplained_401": Unavailable,
    "invalid_token": Unavailable,
    "bare_401": Unavailable,
    "device_not_found": DeviceUnknown,
    "device_not_found_400": DeviceUnknown,
    "device_not_found_404": DeviceUnknown,
    "wrong_channel": Rejected,
    "forbidden_403": Rejected,
    "path_gone": Rejected,
    "errors_list": Unavailable,
    "errors_text": Rejected,
    "hostile_401": Unavailable,
    "hostile_error": Rejected,
    "status_500": Unavailable,
    "status_502": Unavailable,
    "status_503": Unavailable,
    "status_504": Unavailable,
    "maintenance": Unavailable,
    "empty_body": Unavailable,
}
_GOOD = as_json(raw_answer(Device(EM_ID), date(2026, 6, 1)))
_SENT_AT = "Mon, 15 Jun 2026 12:00:00 GMT"


def _refusal_of(status: int, data: bytes, retry_after: str | None = None) -> CollectorError:
    with pytest.raises(CollectorError) as caught:
        read_answer(status, data, retry_after, _SENT_AT)
    return caught.value


def _errors(**named: str) -> bytes:
    return as_json({"isok": False, "errors": named})


@pytest.mark.parametrize("kind", sorted(REFUSALS))
def test_each_refusal_that_is_known_means_its_error(kind: str) -> None:
    """Every body of the API page."""
    reply = REFUSALS[kind]
    assert type(_refusal_of(reply.status, reply.body)) is _MEANT[kind]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("real_error_rate_limit_401", RateLimited),
        ("fixture_error_invalid_auth_key_401", KeyRefused),
        ("fixture_error_unexplained_401", Unavailable),
        ("real_error_invalid_token_401", Unavailable),
        ("fixture_error_device_not_found_200", DeviceUnknown),
        ("real_error_wrong_channel_400", Rejected),
        ("fixture_error_v2_device_offline_400", Rejected),
    ],
)
def test_each_refusal_that_was_seen_means_its_error(name: str, meant: type[SourceError]) -> None:
    """The bodies that other programs met, under the status that they met."""
    assert type(_refusal_of(sample(name)["http_status"], sample_body(name))) is meant


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
def test_a_body_that_names_its_reason_is_believed_whatever_the_status(status: int) -> None:
    """Which status goes with which refusal is known from hearsay; the names are clear."""
    assert type(_refusal_of(status, _errors(invalid_auth_key="Wrong auth key"))) is KeyRefused
    assert type(_refusal_of(status, _errors(device_not_found="Device not found"))) is DeviceUnknown
    assert type(_refusal_of(status, _errors(max_req="Request limit reached!"))) is RateLimited


def test_a_key_is_not_called_wrong_while_the_rate_limit_is_named_too() -> None:
    """A refused key stops an account; a rate limit passes."""
    data = _errors(invalid_auth_key="Wrong auth key", max_req="Request limit reached!")
    assert type(_refusal_of(401, data)) is RateLimited


@settings(max_examples=500, deadline=None)
@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["invalid_token", "invalid_header", "auth", "key", "x"]), st.text()),
    st.sampled_from(["invalid_auth_key is what this text says", "", None]),
)
def test_only_a_body_that_names_the_key_refuses_it(status: int, errors: dict[str, str], text: Any) -> None:
    """Not a status, not another name, and not a text that speaks of the key."""
    body = as_json({"isok": False, "errors": {**errors, "other": text}, "message": text})
    assert not isinstance(_refusal_of(status, body), KeyRefused)


@pytest.mark.parametrize("status", [*sorted(REDIRECTS.values()), 300, 304])
def test_a_redirect_is_an_outage(status: int) -> None:
    """It is a captive portal or a proxy: it passes, and nothing is followed."""
    error = _refusal_of(status, b"")
    assert type(error) is Unavailable
    assert "never followed" in str(error)


@pytest.mark.parametrize("status", [408, 425, 500, 501, 502, 503, 504, 520, 599, 204, 206])
def test_what_passes_by_itself_is_retryable(status: int) -> None:
    """A server's trouble and an answer that is none."""
    assert isinstance(_refusal_of(status, b"<html>"), RETRYABLE)


@pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 410, 451])
def test_what_does_not_pass_by_itself_is_not_retried(status: int) -> None:
    """Asking again in the same way will not help."""
    assert type(_refusal_of(status, b"<html>")) is Rejected


@pytest.mark.parametrize(
    "data", [b"", b"  ", b"<html>Log in</html>", b"null", b"42", b"[]", b"\xef\xbb\xbf{}"]
)
def test_a_200_that_is_not_the_clouds_is_an_outage(data: bytes) -> None:
    """A portal, a proxy, maintenance: retried, and told as what it is."""
    assert type(_refusal_of(200, data)) is Unavailable


def test_a_200_that_is_broken_json_names_the_body() -> None:
    """It began as the cloud's: what is wrong with it is worth telling."""
    assert isinstance(_refusal_of(200, _GOOD[:-40]), AnswerError)


def test_a_success_needs_no_isok() -> None:
    """The second version of the API has none, and white space around it says nothing."""
    assert read_answer(200, b"\r\n " + _GOOD + b"\n", None, None) == read_answer(200, _GOOD, None, None)


@pytest.mark.parametrize("isok", [False, None, 0, 1, "true", "false", [], {}])
def test_data_beside_an_isok_that_is_not_true_is_not_believed(isok: Any) -> None:
    """It says no; what stands beside is worth nothing."""
    data = as_json({**json.loads(_GOOD), "isok": isok})
    assert type(_refusal_of(200, data)) is Unavailable


def test_data_beside_an_isok_that_is_true_is_believed() -> None:
    """The first version of the API said it each time."""
    data = as_json({**json.loads(_GOOD), "isok": True})
    assert read_answer(200, data, None, None)["interval"] == "hour"


@pytest.mark.parametrize("errors", [None, [], "max_req", 7, ["max_req"], {"MAX_REQ": 1}])
def test_errors_of_another_shape_name_nothing(errors: Any) -> None:
    """A list or a text in place of the names is an outage like any other."""
    assert type(_refusal_of(401, as_json({"isok": False, "errors": errors}))) is Unavailable


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("5", 5.0),
        (" 12 ", 12.0),
        ("1.5", 1.5),
        ("999999999999", 999999999999.0),
        ("Mon, 15 Jun 2026 12:00:30 GMT", 30.0),
        ("Mon, 15 Jun 2026 14:00:30 +0200", 30.0),
        ("Mon, 15 Jun 2026 12:00:30 -0000", 30.0),
        ("Mon, 15 Jun 2026 11:00:00 GMT", 0.0),
        ("Tue, 15 Jun 2027 12:00:00 GMT", 365 * 86400.0),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("soon", None),
        ("", None),
        ("Mon, 99 Jun 2026 12:00:30 GMT", None),
        ("1" * 65, None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_or_nothing(header: str | None, seconds: float | None) -> None:
    """A date is held against the answer's own `Date`, never against this machine's clock."""
    assert retry_after_seconds(header, _SENT_AT) == seconds
    assert getattr(_refusal_of(429, b"", header), "retry_after_s", "none") == seconds


@pytest.mark.parametrize("sent_at", [None, "", "yesterday", "Mon, 99 Jun 2026 12:00:30 GMT"])
def test_a_retry_after_date_is_nothing_without_a_date_beside_it(sent_at: str | None) -> None:
    """There is nothing to measure it from."""
    assert retry_after_seconds("Mon, 15 Jun 2026 12:00:30 GMT", sent_at) is None


def test_a_retry_after_is_heard_on_the_clouds_own_rate_limit_and_on_an_outage() -> None:
    """Wherever it comes."""
    for status, data in ((401, _errors(max_req="")), (503, b""), (401, b""), (302, b"")):
        error = _refusal_of(status, data, "7")
        assert isinstance(error, SourceError)
        assert error.retry_after_s == 7


@settings(max_examples=1000, deadline=None)
@example("1 Jan 9999 23:59:59 -2359", "1 Jan 1 00:00:00 +2359")
@given(st.text(max_size=40), st.none() | st.text(max_size=40) | st.just(_SENT_AT))
def test_any_headers_are_seconds_or_nothing(retry_after: str, sent_at: str | None) -> None:
    """Whatever a server sends there, nothing is raised, and no number is negative or infinite."""
    for first, second in ((retry_after, sent_at), (sent_at, retry_after)):
        seconds = retry_after_seconds(first, second)
        assert seconds is None or 0 <= seconds < float("inf")


_BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([_GOOD, _GOOD[:-9], b"<html>", b'{"a":1e99999999999999999999}', b"{" * 9999]),
    st.builds(
        lambda isok, errors: as_json({"isok": isok, "errors": errors}),
        st.booleans() | st.none(),
        st.dictionaries(
            st.sampled_from(["max_req", "invalid_auth_key", "device_not_found", "other"]), st.text(max_size=5)
        )
        | st.lists(st.integers(), max_size=2),
    ),
)


@settings(max_examples=1000, deadline=None)
@given(st.integers(-1, 1000), _BODIES, st.none() | st.text(max_size=20))
def test_any_status_and_bytes_are_an_answer_or_an_error_of_ours(
    status: int, data: bytes, retry_after: str | None
) -> None:
    """A dict only from a 200 that does not say no; else a `SourceError` or an `AnswerError`."""
    try:
        body = read_answer(status, data, retry_after, _SENT_AT)
    except (SourceError, AnswerError):
        return
    assert status == 200
    assert body.get("isok", True) is True
