"""Streams end when their reader may no longer read."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from fleetjobs.access import Role
from fleetjobs.api.access import Acting
from fleetjobs.api.admission import REFUSED, Admission
from fleetjobs.api.logs import Log
from fleetjobs.api.parameters import RunKey
from fleetjobs.names import JobId, NodeId
from fleetjobs.store.logs import Stream
from tests.api_house import House
from tests.processes import wait_for
from tests.unit.api.conftest import Submit

ROOT = "/api/v1"
STREAM = {"Accept": "text/event-stream"}


def shut_out(house: House, how: str) -> None:
    """Take ann's right to read."""
    root = house.client("root")
    root.headers["As-Org"] = "acme"
    if how == "token":
        [token] = root.get(f"{ROOT}/tokens", params={"account": "ann"}).json()["items"]
        assert root.delete(f"{ROOT}/tokens/{token['id']}").status_code == 200
    else:
        changed = root.patch(f"{ROOT}/accounts/ann", json={how: {"role": "viewer"}.get(how, True)})
        assert changed.status_code == 200, changed.text


@pytest.mark.parametrize("how", ["token", "disabled", "role"])
def test_who_may_not_go_on_is_told_no_more_events(house: House, ann: TestClient, how: str) -> None:
    job = str(uuid4())
    wish = {"id": job, "agent": "rpcutil", "action": "ping", "target": {"identities": ["web1"]}}
    vera = house.client("vera")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(ann.post, f"{ROOT}/jobs", json=wish, headers=STREAM)
        wait_for(lambda: vera.get(f"{ROOT}/jobs/{job}").status_code == 200)

        shut_out(house, how)
        house.reply(job, "web1")

        text = read.result().text
    assert "event: job\n" in text
    assert text.endswith(REFUSED.decode())
    assert "run.succeeded" not in text


def test_who_may_not_go_on_reads_no_more_of_a_log(house: House, submit: Submit) -> None:
    job = JobId(submit(["web1"])["id"])
    desk = house.app.state.desk
    account = desk.tokens.account(house.tokens["ann"])
    ann_acting = Acting(
        name=account.name,
        org=account.org,
        role=Role.ADMIN,
        verify_key=account.verify_key,
        home=account.org,
        address="",
        named=False,
        token=house.tokens["ann"],
    )
    key = RunKey(job=job, node=NodeId("web1"))
    log = Log(desk=desk, org="acme", key=key, stream=Stream.STDOUT, attempt=None)

    async def read() -> list[bytes]:
        messages = log.messages(0, Admission(desk, ann_acting))
        first = await anext(messages)
        await asyncio.to_thread(shut_out, house, "token")
        await asyncio.to_thread(house.reply, job, "web1")
        return [first, *[message async for message in messages]]

    assert asyncio.run(read())[1:] == [REFUSED]
    assert house.tokens["ann"] not in repr(ann_acting)
