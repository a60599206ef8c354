"""Where a profile is found, and what is said of a wrong one."""

from pathlib import Path

import pytest

from fleetjobs.client.profile import find_profile, places, read_profile
from fleetjobs.errors import InvalidSetting

CONTENT = 'url = "http://127.0.0.1:8800/"\ntoken = "fjt_secret"\n'


def write(path: Path, content: str = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_the_named_file_wins_over_the_environment(tmp_path: Path) -> None:
    named = write(tmp_path / "named.toml")

    profile = find_profile(named, {"FLEETJOBS_URL": "http://other"})

    assert profile.url == "http://127.0.0.1:8800"
    assert profile.origin == str(named)


def test_a_file_named_in_the_environment_wins_over_a_url_there(tmp_path: Path) -> None:
    named = write(tmp_path / "named.toml")

    profile = find_profile(None, {"FLEETJOBS_CONFIG": str(named), "FLEETJOBS_URL": "http://other"})

    assert profile.token == "fjt_secret"  # noqa: S105


def test_the_environment_alone_is_enough() -> None:
    environ = {
        "FLEETJOBS_URL": "https://fleet.example.org",
        "FLEETJOBS_TOKEN": "fjt_x",
        "FLEETJOBS_KEY": "/keys/ann.pem",
        "FLEETJOBS_ACCOUNT": "ann",
        "FLEETJOBS_ORG": "acme",
    }

    profile = find_profile(None, environ)

    assert (profile.account, profile.org) == ("ann", "acme")
    assert profile.key_path == Path("/keys/ann.pem")


def test_the_users_own_configuration_is_found_before_that_of_the_embedded_fleet(
    tmp_path: Path,
) -> None:
    own, embedded, _ = places({"HOME": str(tmp_path)})
    write(embedded, CONTENT.replace("8800", "1"))

    assert find_profile(None, {"HOME": str(tmp_path)}).url.endswith(":1")

    write(own)
    assert find_profile(None, {"HOME": str(tmp_path)}).url.endswith(":8800")


def test_without_any_profile_all_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting) as caught:
        find_profile(None, {"HOME": str(tmp_path)})

    assert "FLEETJOBS_URL" in str(caught.value)
    assert str(tmp_path / ".config/fleetjobs/client.toml") in str(caught.value)


def test_a_relative_key_lies_beside_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", CONTENT + 'key = "a.pem"\naccount = "a"\norg = "o"\n')

    assert read_profile(path).key_path == tmp_path / "a.pem"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("url = ", "not TOML"),
        ('url = "ftp://x"', "url"),
        ('token = "x"', "url"),
        ("url = 1", "url is a text"),
        (CONTENT + 'tokn = "x"', "tokn"),
        (CONTENT + 'key = "a.pem"', "account"),
        ('url = "http://x"\ntoken = "a\\nb"', "token"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, content: str, word: str) -> None:
    path = write(tmp_path / "c.toml", content)

    with pytest.raises(InvalidSetting, match=word) as caught:
        read_profile(path)

    assert str(path) in str(caught.value)


def test_a_token_is_not_shown_by_repr(tmp_path: Path) -> None:
    assert "fjt_secret" not in repr(read_profile(write(tmp_path / "c.toml")))
