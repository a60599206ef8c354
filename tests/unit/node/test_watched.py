"""What an administrator writes takes effect at once, and errors deny."""

import os
from collections.abc import Callable
from errno import EMFILE
from pathlib import Path

import pytest

from fleetjobs.errors import Denied, SpoolFull
from fleetjobs.node.watched import Watched, policy_in, trusted_keys
from fleetjobs.policy import Policy
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
    """Another one's rights may be what changed: it may no longer be readable at all."""
    path = tmp_path / "file"
    path.write_text("", encoding="utf-8")
    reads: list[Path] = []
    watched = Watched(path, lambda file: reads.append(file) or file)  # type: ignore[func-returns-value]

    watched.value()
    watched.value()
    assert reads == [path]

    path.chmod(0o600)
    watched.value()
    assert reads == [path, path]


def test_keys_are_named_by_their_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = SigningKey.generate("account:ada")
    (tmp_path / "account:ada.pub").write_text(key.verify_key.text + "\n", encoding="utf-8")
    (tmp_path / "account:bob.pub").write_text("rubbish", encoding="utf-8")
    os.mkfifo(tmp_path / "not-a-key")

    keys = trusted_keys(tmp_path)

    assert keys == {"account:ada": key.verify_key}
    assert "account:bob.pub" in caplog.text


RULE = 'effect = "{}"\ncallers = ["*"]\nagents = ["*"]\nactions = ["*"]\n'
ALLOW, DENY = (f"[[rules]]\n{RULE.format(effect)}" for effect in ("allow", "deny"))


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "No such file"),
    "a directory": (a_directory, "Is a directory"),
    "no TOML": (lambda path: path.write_text("rules = ["), "Invalid|Unclosed|Expected|array"),
    "no text": (lambda path: path.write_bytes(b"\xff"), "utf-8"),
    "a wrong word": (lambda path: path.write_text(ALLOW.replace("allow", "maybe")), "effect"),
    "a contradiction": (lambda path: path.write_text(ALLOW + DENY), "rules 1 and 2 contradict"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_policy_that_cannot_be_used_denies_everything_and_says_so(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """From the moment on at which it breaks, to the caller and in the log; mended, it counts."""
    path = tmp_path / "policy.toml"
    path.write_text(ALLOW)
    policy = Watched(path, policy_in)
    ask(policy.value())
    damage, complaint = BROKEN[how]

    damage(path)

    with pytest.raises(Denied, match=rf"denies everything: its policy cannot .*{complaint}"):
        ask(policy.value())
    assert "everything is denied" in caplog.text
    if path.is_dir():
        path.rmdir()
    (tmp_path / "new").write_text(ALLOW)
    (tmp_path / "new").rename(path)
    ask(policy.value())


@pytest.mark.spec("F5")
def test_what_cannot_be_read_for_want_of_descriptors_is_read_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a node denies everything, or trusts nobody, until somebody changes the file."""
    path = tmp_path / "policy.toml"
    path.write_text(ALLOW)
    key = SigningKey.generate("account:ada").verify_key
    (tmp_path / "account:ada.pub").write_text(key.text)
    policy, keys = Watched(path, policy_in), Watched(tmp_path, trusted_keys)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(EMFILE, os.strerror(EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse)
        for watched in (policy, keys):
            with pytest.raises(SpoolFull, match="Too many open files"):
                watched.value()

    ask(policy.value())
    assert keys.value() == {"account:ada": key}


def test_a_change_is_seen_though_the_files_times_were_set_back(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(ALLOW)
    policy = Watched(path, policy_in)
    ask(policy.value())
    before = path.stat()

    path.write_text(ALLOW.replace("allow", "deny "))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(Denied):
        ask(policy.value())


def ask(policy: Policy) -> None:
    policy.check(
        caller="ada",
        signer="account:ada",
        agent="rpcutil",
        action="ping",
        facts={},
        classes=frozenset(),
    )
