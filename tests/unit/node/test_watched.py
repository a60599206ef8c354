"""What an administrator writes takes effect at once, and errors deny."""

import os
from pathlib import Path

import pytest

from fleetjobs.errors import Denied
from fleetjobs.node.watched import Watched, policy_in, trusted_keys
from fleetjobs.signing import SigningKey


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one", encoding="utf-8")
    watched = Watched(path, lambda file: file.read_text(encoding="utf-8"))
    assert watched.value() == "one"

    aside = tmp_path / "aside"
    aside.write_text("two", encoding="utf-8")
    aside.rename(path)

    assert watched.value() == "two"


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("", encoding="utf-8")
    reads: list[Path] = []
    watched = Watched(path, lambda file: reads.append(file) or file)  # type: ignore[func-returns-value]

    watched.value()
    watched.value()

    assert reads == [path]


def test_keys_are_named_by_their_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = SigningKey.generate("account:ada")
    (tmp_path / "account:ada.pub").write_text(key.verify_key.text + "\n", encoding="utf-8")
    (tmp_path / "account:bob.pub").write_text("rubbish", encoding="utf-8")
    os.mkfifo(tmp_path / "not-a-key")

    keys = trusted_keys(tmp_path)

    assert keys == {"account:ada": key.verify_key}
    assert "account:bob.pub" in caplog.text


@pytest.mark.parametrize("content", [None, b"[[rule", b"\xff", b"[[rule]]\nallow = 'maybe'"])
def test_a_policy_that_cannot_be_read_denies_everything(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "policy.toml"
    if content is not None:
        path.write_bytes(content)

    policy = policy_in(path)

    with pytest.raises(Denied):
        policy.check(
            caller="ada",
            signer="account:ada",
            agent="rpcutil",
            action="ping",
            facts={},
            classes=frozenset(),
        )
    assert "everything is denied" in caplog.text
