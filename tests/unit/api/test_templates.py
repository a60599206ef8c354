"""Templates over HTTP: made, looked at, changed, run, taken many at once."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api_house import House

TEMPLATES = "/api/v1/templates"
PING = """\
name: look
params:
  who: {choices: [web1, web2]}
action: rpcutil.ping
target: {identities: "${params.who}"}
"""
TWO = "name: two\nlegs:\n  - a: rpcutil.ping\n  - b: rpcutil.ping\n"


def create(client: TestClient, text: str = TWO, **more: Any) -> dict[str, Any]:
    answer = client.post(TEMPLATES, json={"text": text, **more})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_template_is_found_by_label_and_id_and_in_the_list(ann: TestClient) -> None:
    made = create(ann)

    assert (made["label"], made["version"], made["level"]) == ("two", 1, "org")
    for name in ("two", made["id"]):
        answer = ann.get(f"{TEMPLATES}/{name}")
        assert (answer.json(), answer.headers["ETag"]) == (made, '"1"')
    (listed,) = ann.get(TEMPLATES).json()["items"]
    assert listed.items() <= made.items()


@pytest.mark.spec("S2-25")
def test_what_a_form_has_to_ask_for_is_told(ann: TestClient) -> None:
    text = """\
name: form
params:
  name: {description: who, pattern: '^[a-z]+$', maxlength: 20}
  size: {type: integer, default: 10}
  kind: {choices: [small, large], required: false}
  word: {secret: true}
action: rpcutil.ping
"""
    made = create(ann, text)

    name, size, kind, word = made["parameters"]
    assert name == {
        "name": "name",
        "type": "string",
        "description": "who",
        "required": True,
        "default": None,
        "choices": [],
        "pattern": "^[a-z]+$",
        "maxlength": 20,
        "secret": False,
    }
    assert (size["type"], size["default"], size["required"]) == ("integer", 10, False)
    assert (kind["choices"], kind["required"], word["secret"]) == (["small", "large"], False, True)


@pytest.mark.spec("S2-27")
def test_it_is_run_once_and_the_job_remembers_it(ann: TestClient) -> None:
    made = create(ann, PING)

    answer = ann.post(f"{TEMPLATES}/look/run", json={"params": {"who": "web2"}})

    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["template"], job["template_label"], job["template_version"]) == (
        made["id"],
        "look",
        1,
    )
    assert (job["nodes"], job["schedule"]) == (1, None)
    assert [one["id"] for one in ann.get(f"{TEMPLATES}/look/jobs").json()["items"]] == [job["id"]]


@pytest.mark.spec("S2-26")
def test_jobs_are_filtered_by_template_and_filters_compose(ann: TestClient) -> None:
    made = create(ann, PING)
    jobs = [
        ann.post(f"{TEMPLATES}/look/run", json={"params": {"who": who}}).json()["id"]
        for who in ("web1", "web2", "web1")
    ]
    create(ann)
    ann.post(f"{TEMPLATES}/two/run")

    def ids(path: str = "/api/v1/jobs", **query: Any) -> list[str]:
        answer = ann.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.json()["items"]]

    assert ids(template="look") == ids(template=made["id"]) == jobs[::-1]
    assert ids(template="look", node="web2") == [jobs[1]]
    assert ids(f"{TEMPLATES}/look/jobs", node="web2") == [jobs[1]]
    assert ids(template="look", sort="created") == jobs
    assert ids(template="nothing") == []


@pytest.mark.spec("S2-08")
def test_a_wrong_parameter_is_answered_with_its_field(ann: TestClient) -> None:
    create(ann, PING)

    for params, field in (({}, "params.who"), ({"who": "db1"}, "params.who")):
        answer = ann.post(f"{TEMPLATES}/look/run", json={"params": params})
        assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_the_same_key_again_is_the_same_job(ann: TestClient) -> None:
    create(ann)
    again = {"Idempotency-Key": "k"}

    first = ann.post(f"{TEMPLATES}/two/run", headers=again)
    second = ann.post(f"{TEMPLATES}/two/run", headers=again)

    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]


def test_a_change_is_a_version_and_names_the_one_that_was_seen(ann: TestClient) -> None:
    create(ann)
    seen = {"If-Match": '"1"'}
    new = {"text": TWO.replace("- b", "- c")}

    changed = ann.put(f"{TEMPLATES}/two", json=new, headers=seen)

    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert ann.put(f"{TEMPLATES}/two", json={"text": TWO}, headers=seen).status_code == 412
    assert ann.get(f"{TEMPLATES}/two", params={"version": 1}).json()["text"] == TWO
    versions = ann.get(f"{TEMPLATES}/two/versions", params={"limit": 1}).json()
    assert [one["number"] for one in versions["items"]] == [2]
    rest = ann.get(f"{TEMPLATES}/two/versions", params={"before": versions["next"]}).json()
    assert [one["number"] for one in rest["items"]] == [1]


def test_it_is_tried_out_before_and_after_it_is_kept(ann: TestClient) -> None:
    before = ann.post(f"{TEMPLATES}/validate", json={"text": TWO})
    create(ann)
    after = ann.post(f"{TEMPLATES}/two/validate")

    for answer in (before, after):
        assert answer.status_code == 200, answer.text
        assert answer.json()["kind"] == "plan"
        assert [leg["key"] for leg in answer.json()["legs"]] == ["a", "b"]
    assert ann.get("/api/v1/jobs").json()["items"] == []


def test_who_may_not_is_refused_and_strangers_find_nothing(house: House, ann: TestClient) -> None:
    made = create(ann)

    with house.client("vera") as vera:
        assert vera.get(f"{TEMPLATES}/two").status_code == 200
        for answer in (
            vera.post(f"{TEMPLATES}/two/run"),
            vera.post(TEMPLATES, json={"text": TWO, "label": "x"}),
            vera.delete(f"{TEMPLATES}/two"),
        ):
            assert answer.status_code == 403
    with house.client("eve") as eve:
        assert eve.get(TEMPLATES).json()["items"] == []
        for name in ("two", made["id"]):
            assert eve.get(f"{TEMPLATES}/{name}").status_code == 404
            assert eve.post(f"{TEMPLATES}/{name}/run").status_code == 404


def test_only_who_rules_the_fleet_changes_what_belongs_to_it(house: House) -> None:
    with house.client("root") as root:
        create(root, level="fleet")

    with house.client("olaf") as olaf:
        assert olaf.post(f"{TEMPLATES}/two/run").status_code == 202
        assert olaf.delete(f"{TEMPLATES}/two").status_code == 403
        denied = olaf.post(TEMPLATES, json={"text": PING, "level": "fleet"})
        assert denied.status_code == 403


def test_many_are_taken_at_once_or_none(ann: TestClient) -> None:
    files = [{"name": "two.yaml", "text": TWO}, {"name": "look.yaml", "text": PING}]

    made = ann.post(f"{TEMPLATES}/apply", json={"files": files}).json()
    changed = [{"name": "two.yaml", "text": TWO.replace("- b", "- c")}]
    trial = ann.post(f"{TEMPLATES}/apply", json={"files": changed, "dry_run": True}).json()
    broken = [*changed, {"name": "x.yaml", "text": "legs:\n  - a: 1\n"}]
    refused = ann.post(f"{TEMPLATES}/apply", json={"files": broken})

    assert [(one["label"], one["change"]) for one in made["items"]] == [
        ("two", "created"),
        ("look", "created"),
    ]
    (one,) = trial["items"]
    assert (trial["dry_run"], one["change"], one["version"]) == (True, "updated", 2)
    assert "-  - b: rpcutil.ping\n+  - c: rpcutil.ping\n" in one["diff"]
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("x.yaml:2:")
    assert ann.get(f"{TEMPLATES}/two").json()["version"] == 1
