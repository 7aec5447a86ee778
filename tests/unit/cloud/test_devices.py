"""The devices: which are meters, of which kind, under which name, whatever the answers leave out."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cloud.devices import CloudMeter, Devices, devices_of, entries_in, fetch_devices
from collector.cloud.meters import Kind
from collector.cloud.retrying import RetryPolicy
from collector.errors import AnswerError, CollectorError, KeyRefused, Rejected, Unavailable
from collector.simulator import Account as SimulatedAccount
from collector.simulator import Device, Limit
from tests.support.faulty_cloud import Fault, FaultyCloud, Scenario
from tests.support.key_forms import assert_keeps_the_key
from tests.support.stand_in_cloud import KEY, NOW, client_of

EM, EM3, PLUG = "e8db84d2a1b3", "34987a45c1d0", "c45bbe000000"
HOUSE = Device(EM, name="House", model="SPEM-002CEBEU50")
ROOF = Device(EM3, kind="3em", name="Roof", online=False)


def account(*devices: Device, fault: tuple[Fault, ...] = (), **options: Any) -> Scenario:
    limit = options.pop("limit", Limit("none"))
    home = SimulatedAccount("home", KEY, devices or (HOUSE, ROOF), limit, **options)
    return Scenario((home,), now=NOW, fault=fault)


async def fetched(scenario: Scenario, requests: int = 3) -> Devices:
    async with FaultyCloud(scenario) as cloud, client_of(cloud) as client:
        found = await fetch_devices(client)
        assert cloud.counts.total.requests == requests
        return found


async def test_meters_come_with_name_model_kind_and_whether_they_are_online() -> None:
    """And nothing else of a hundred devices."""
    found = await fetched(account(other_devices=100))
    assert found == Devices(
        (
            CloudMeter(EM, "House", "Pro EM-50", Kind.EM, online=True),
            CloudMeter(EM3, "Roof", "3EM", Kind.EM3, online=False),
        ),
        others=100,
    )


@pytest.mark.parametrize("entries", ["device", "channel", "sparse"])
@pytest.mark.parametrize("outer_keys", ["ids", "others"])
async def test_each_form_of_the_answers_gives_the_same_meters(entries: str, outer_keys: str) -> None:
    """An entry for each channel, keys that are missing, outer keys that are no ids."""
    found = await fetched(account(entries=entries, outer_keys=outer_keys, other_devices=2))
    assert [(each.id, each.name, each.kind, each.online) for each in found.meters] == [
        (EM, "House", Kind.EM, True),
        (EM3, "Roof", Kind.EM3, False),
    ]
    assert found.others == 2


async def test_a_meter_without_a_name_is_listed_without_one() -> None:
    found = await fetched(account(Device(EM)))
    assert [each.name for each in found.meters] == [""]


@pytest.mark.parametrize(
    ("shows", "kind", "expected"),
    [
        ("emeters", "em", Kind.EM),
        ("emeters", "3em", Kind.EM3),
        ("em1", "em", Kind.EM),
        ("em", "3em", Kind.EM3),
    ],
)
async def test_an_unknown_model_is_a_meter_by_its_status_and_said_to_be_a_guess(
    shows: Literal["emeters", "em1", "em"], kind: Literal["em", "3em"], expected: Kind
) -> None:
    found = await fetched(account(Device(EM, kind, model="XQ-9", shows=shows)))
    (meter,) = found.meters
    assert (meter.kind, meter.model) == (expected, "XQ-9")
    assert "XQ-9" in meter.doubt


async def test_an_unknown_model_that_measures_nothing_is_no_meter() -> None:
    found = await fetched(account(Device(EM, model="XQ-9", shows="nothing")))
    assert found == Devices((), others=1)


async def test_a_pro_3em_of_three_single_clamps_is_offered_as_an_em_with_a_doubt() -> None:
    """Its monophase profile: `em1:0` to `em1:2` instead of `em:0`."""
    found = await fetched(account(Device(EM3, "3em", model="SPEM-003CEBEU", shows="em1")))
    (meter,) = found.meters
    assert (meter.model, meter.kind) == ("Pro 3EM", Kind.EM)
    assert "single clamps" in meter.doubt


@pytest.mark.parametrize(
    ("code", "model", "kind", "is_certain"),
    [
        ("SHEM", "EM", Kind.EM, True),
        ("SHEM-3", "3EM", Kind.EM3, True),
        ("SPEM-002CEBEU50", "Pro EM-50", Kind.EM, True),
        ("SPEM-003CEBEU400", "Pro 3EM", Kind.EM3, True),
        ("S3EM-002CXCEU", "EM Gen3", Kind.EM, False),
        ("S3EM-003CXCEU63", "3EM-63 Gen3", Kind.EM3, False),
    ],
)
def test_a_model_is_known_by_the_beginning_of_its_code(
    code: str, model: str, kind: Kind, is_certain: bool
) -> None:
    (meter,) = devices_of({EM: {"type": code}}, {}, set()).meters
    assert (meter.model, meter.kind, meter.doubt == "") == (model, kind, is_certain)


async def test_a_device_of_another_account_is_marked() -> None:
    found = await fetched(account(HOUSE, Device(EM3, "3em", name="Neighbour", shared=True)))
    assert {each.name: each.is_shared for each in found.meters} == {"House": False, "Neighbour": True}


async def test_the_list_alone_is_enough() -> None:
    """The vendor calls the statuses deprecated: where they are gone, known models are still found."""
    found = await fetched(account(all_status="gone"), requests=2)
    assert [(each.name, each.is_shared) for each in found.meters] == [("House", False), ("Roof", False)]
    assert "404" in found.gap


async def test_the_statuses_alone_are_enough() -> None:
    found = await fetched(account(entries="gone"))
    assert [(each.id, each.name) for each in found.meters] == [(EM3, ""), (EM, "")]
    assert "404" in found.gap


async def test_without_both_the_refusal_of_the_list_is_raised() -> None:
    async with FaultyCloud(account(entries="gone", all_status="gone")) as cloud, client_of(cloud) as client:
        with pytest.raises(Rejected):
            await fetch_devices(client)


async def test_the_key_is_in_the_form_and_never_in_the_address() -> None:
    async with FaultyCloud(account()) as cloud, client_of(cloud) as client:
        await fetch_devices(client)
        counts = cloud.counts.accounts["home"]
        assert (counts.requests, counts.keys_outside_query, counts.bearer_keys) == (3, 0, 0)


@pytest.mark.parametrize(("kind", "expected"), [("bad_key", KeyRefused), ("maintenance", Unavailable)])
async def test_a_refused_key_and_a_cloud_that_is_down_are_told_apart(
    kind: str, expected: type[CollectorError]
) -> None:
    scenario = account(fault=(Fault(kind),))
    async with FaultyCloud(scenario) as cloud, client_of(cloud) as client:
        with pytest.raises(expected) as caught:
            await fetch_devices(client)
        assert_keeps_the_key(caught.value)


async def test_a_rate_limit_in_the_middle_delays_and_changes_nothing() -> None:
    """Another program uses the same key: the second request is rejected, and sent again later."""
    scenario = account(fault=(Fault("max_req", on_requests=(2,)),))
    async with FaultyCloud(scenario) as cloud, client_of(cloud, RetryPolicy(attempts=3)) as client:
        found = await fetch_devices(client)
        assert cloud.counts.total.requests == 4
    assert [each.name for each in found.meters] == ["House", "Roof"]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=9) | st.sampled_from([EM, f"{EM}_1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "type", "name", "_dev_info", "emeters", "em:0", "online", "code", EM, "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_VALUES, _VALUES)
def test_whatever_the_answers_hold_there_are_meters_with_an_id_or_an_error(one: Any, other: Any) -> None:
    """They come from outside."""
    try:
        listed = entries_in({"data": {"devices": one}}, "devices")
        statuses = entries_in({"data": {"devices_status": other}}, "devices_status")
    except AnswerError:
        return
    found = devices_of(listed, statuses, statuses.keys())
    assert {each.id for each in found.meters} <= {EM}
