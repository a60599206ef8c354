"""Signing: what we seal any JOSE library can check; what is forged nobody takes."""

import base64
import json
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey

from fleetjobs.errors import InvalidSetting, Unauthentic
from fleetjobs.signing import (
    SigningKey,
    VerifyKey,
    account_key_id,
    claimed_key_id,
    digest,
    node_key_id,
    peek,
    unseal,
)

KEY = SigningKey.generate(account_key_id("alice"))
OTHER = SigningKey.generate(account_key_id("alice"))
TRUSTED = {KEY.id: KEY.verify_key}


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def with_header(header: object) -> str:
    """The sealed document under another header; its signature is not renewed."""
    _, payload, signature = KEY.seal(b"{}").split(".")
    return f"{encoded(json.dumps(header).encode())}.{payload}.{signature}"


def signed_with_header(header: object) -> str:
    """A document truly signed by our key, under a header of our choice."""
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(b'{}')}"
    return f"{signed}.{encoded(KEY._key.sign(signed.encode()))}"


def test_no_new_key_looks_like_an_option() -> None:
    """`--verify-key KEY` is typed by people; base64url has a `-`."""
    texts = [SigningKey.generate("node:web1").verify_key.text for _ in range(400)]

    assert not [text for text in texts if text.startswith("-")]


@given(st.binary(max_size=1000))
def test_what_was_sealed_is_unsealed(payload: bytes) -> None:
    assert unseal(KEY.seal(payload), TRUSTED) == (KEY.id, payload)


@given(st.binary(min_size=1, max_size=1000))
def test_a_jose_library_verifies_what_we_seal(payload: bytes) -> None:
    public = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": KEY.verify_key.text})

    checked = jws.deserialize_compact(KEY.seal(payload), public, algorithms=["Ed25519"])

    assert checked.payload == payload
    assert checked.headers() == {"alg": "Ed25519", "kid": "account:alice"}


@given(st.binary(min_size=1, max_size=1000))
def test_we_verify_what_a_jose_library_seals(payload: bytes) -> None:
    private = OKPKey.generate_key("Ed25519")
    public = VerifyKey.from_text(str(private.as_dict(private=False)["x"]))

    sealed = jws.serialize_compact(
        {"alg": "Ed25519", "kid": "account:bob"}, payload, private, algorithms=["Ed25519"]
    )

    assert unseal(sealed, {"account:bob": public}) == ("account:bob", payload)


@given(st.data())
def test_one_altered_character_breaks_the_seal(data: st.DataObject) -> None:
    sealed = KEY.seal(b'{"agent":"package","action":"status"}')
    place = data.draw(st.integers(0, len(sealed) - 1))
    sign = data.draw(st.characters(codec="utf-8").filter(lambda sign: sign != sealed[place]))
    forged = sealed[:place] + sign + sealed[place + 1 :]

    with pytest.raises(Unauthentic):
        unseal(forged, TRUSTED)


def test_a_document_has_one_spelling() -> None:
    """The last character of the signature has four bits that mean nothing; they must be zero."""
    sealed = KEY.seal(b"{}")
    others = [sealed[:-1] + sign for sign in string.ascii_letters if sign != sealed[-1]]

    for other in others:
        with pytest.raises(Unauthentic):
            unseal(other, TRUSTED)


def test_the_payload_cannot_be_exchanged() -> None:
    head, _, signature = KEY.seal(b"status").split(".")

    with pytest.raises(Unauthentic, match="signature is not by"):
        unseal(f"{head}.{encoded(b'remove')}.{signature}", TRUSTED)


def test_another_key_of_the_same_name_is_refused() -> None:
    with pytest.raises(Unauthentic, match="signature is not by"):
        unseal(OTHER.seal(b"{}"), TRUSTED)


def test_a_key_that_is_not_trusted_here_is_refused() -> None:
    with pytest.raises(Unauthentic, match="no key 'account:alice'"):
        unseal(KEY.seal(b"{}"), {node_key_id("web1"): KEY.verify_key})


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "EdDSA", "ES256", "", None, 1])
def test_another_algorithm_is_refused_even_truly_signed(algorithm: object) -> None:
    with pytest.raises(Unauthentic, match="not accepted"):
        unseal(signed_with_header({"alg": algorithm, "kid": KEY.id}), TRUSTED)


def test_an_unsigned_document_is_refused() -> None:
    unsigned = f"{encoded(json.dumps({'alg': 'none', 'kid': KEY.id}).encode())}.{encoded(b'{}')}."

    with pytest.raises(Unauthentic, match="not accepted"):
        unseal(unsigned, TRUSTED)


@pytest.mark.parametrize(
    "extra", [{"crit": ["exp"]}, {"jwk": {}}, {"b64": False}, {"x5u": "https://example.org"}]
)
def test_a_header_that_wants_more_is_refused(extra: dict[str, object]) -> None:
    """What we do not understand could change what the signature means."""
    with pytest.raises(Unauthentic, match="not accepted"):
        unseal(signed_with_header({"alg": "Ed25519", "kid": KEY.id, **extra}), TRUSTED)


@pytest.mark.parametrize(
    "header", [[], None, 5, "x", {}, {"alg": "Ed25519"}, {"kid": "x"}, ["alg", "kid"]]
)
def test_a_header_without_the_two_fields_is_refused(header: object) -> None:
    with pytest.raises(Unauthentic):
        unseal(with_header(header), TRUSTED)


@pytest.mark.parametrize("text", ["", ".", "..", "...", "a.b", "a.b.c.d", "e30.e30.", "\ud800.é.x"])
def test_what_is_no_jws_is_refused(text: str) -> None:
    with pytest.raises(Unauthentic, match="not a signed document"):
        unseal(text, TRUSTED)


@given(st.text())
def test_reading_rubbish_ends_in_a_refusal(text: str) -> None:
    with pytest.raises(Unauthentic):
        unseal(text, TRUSTED)
    with pytest.raises(Unauthentic):
        claimed_key_id(text)


def test_the_claimed_key_can_be_read_without_trust() -> None:
    assert claimed_key_id(OTHER.seal(b"{}")) == "account:alice"


def test_a_key_survives_the_disk(tmp_path: Path) -> None:
    KEY.save(tmp_path / "keys" / "alice.pem")

    loaded = SigningKey.load(KEY.id, tmp_path / "keys" / "alice.pem")

    assert loaded.verify_key == KEY.verify_key
    assert (tmp_path / "keys" / "alice.pem").stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    KEY.save(tmp_path / "key.pem")

    with pytest.raises(FileExistsError):
        OTHER.save(tmp_path / "key.pem")


def test_a_file_without_a_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("hello")

    with pytest.raises(InvalidSetting, match=r"key\.pem"):
        SigningKey.load("server", path)
    with pytest.raises(InvalidSetting, match=r"missing\.pem"):
        SigningKey.load("server", tmp_path / "missing.pem")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rsa.pem"
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    with pytest.raises(InvalidSetting, match="not Ed25519"):
        SigningKey.load("server", path)


@pytest.mark.parametrize(
    "spell",
    [
        lambda pem: b"\n" + pem.replace(b"\n", b"\r\n") + b"\n",
        lambda pem: b"comment\n" + pem,  # no plain one, but libraries read it
    ],
)
def test_a_key_may_be_written_in_several_ways(
    tmp_path: Path, spell: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "key.pem"
    KEY.save(path)
    path.write_bytes(spell(path.read_bytes()))

    assert SigningKey.load(KEY.id, path).verify_key == KEY.verify_key


def test_a_public_key_survives_its_text() -> None:
    assert VerifyKey.from_text(f" {KEY.verify_key.text}\n") == KEY.verify_key


@pytest.mark.parametrize("text", ["", "AAAA", "é" * 43, "A" * 44, "A" * 42 + "="])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="not an Ed25519 public key"):
        VerifyKey.from_text(text)


def test_the_digest_is_of_the_bytes_that_travel() -> None:
    sealed = KEY.seal(b"{}")

    assert digest(sealed) == digest(sealed.encode())
    assert digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_payload_can_be_seen_without_a_key() -> None:
    assert peek(OTHER.seal(b"{}")) == b"{}"


@pytest.mark.parametrize("text", ["", "e30", "e30.é.x", "e30.A.x"])
def test_seeing_into_rubbish_is_refused(text: str) -> None:
    with pytest.raises(Unauthentic, match="not a signed document"):
        peek(text)
