"""The vm agent makes volumes, configurations and images, each whole or not at all."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import refuse_or_skip
from tests.vm_node import VmNode, vm_node

MIB = 1024 * 1024


@pytest.fixture
def node(tmp_path: Path) -> Iterator[VmNode]:
    if not shutil.which("qemu-img"):
        refuse_or_skip("qemu-img is not installed")
    with vm_node(tmp_path) as node:
        yield node


def make_disk(path: Path, content: bytes, *, form: str = "raw") -> None:
    """An image of 1 MiB that begins with that content."""
    raw = path.with_suffix(".content")
    raw.write_bytes(content.ljust(MIB, b"\0"))
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", form, str(raw), str(path)], check=True
    )


def content_of(disk: str, place: Path) -> bytes:
    """What a guest would read."""
    raw = place / "read.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, str(raw)], check=True)
    return raw.read_bytes()


def only_with(place: Path, *tools: str) -> str:
    """A PATH that leads to Python and these tools only."""
    directory = place / "bin"
    directory.mkdir()
    for tool in tools:
        found = shutil.which(tool)
        assert found
        (directory / tool).symlink_to(found)
    return str(directory)


@pytest.mark.parametrize("form", ["qcow2", "raw"])
def test_a_volume_is_made_with_its_size(node: VmNode, form: str) -> None:
    made = node.do("make_volume", name="db", size_mib=8, format=form)

    told = subprocess.run(
        ["qemu-img", "info", "--output=json", made["path"]], capture_output=True, check=True
    )
    info = json.loads(told.stdout)
    assert (info["format"], info["virtual-size"]) == (form, 8 * MIB)
    assert made == {
        "name": "db",
        "path": str(node.state / "volumes/db/disk"),
        "bytes": 8 * MIB,
        "format": form,
        "made": True,
    }


def test_what_others_must_not_read_is_kept_from_them(node: VmNode) -> None:
    """A disk may hold passwords, and a kernel's command line, too."""
    made = node.do("make_volume", name="db", size_mib=8)
    node.do("make_config", name="db", volume="db", append="password=x")

    assert Path(made["path"]).stat().st_mode & 0o077 == 0
    assert (node.state / "guests/db/record.json").stat().st_mode & 0o077 == 0


def test_a_volume_that_is_there_is_found_and_whose_it_is_remembered(node: VmNode) -> None:
    """A rollback takes away only what its own job made, in whichever attempt."""
    node.do("make_volume", name="db", size_mib=8, job="j1")

    assert node.do("make_volume", name="db", size_mib=8, job="j1")["made"] is True
    assert node.do("make_volume", name="db", size_mib=8, job="j2")["made"] is False


def test_another_volume_of_that_name_is_not_touched(node: VmNode) -> None:
    node.do("make_volume", name="db", size_mib=8)

    assert node.fail("make_volume", name="db", size_mib=9) == (
        4,
        "there is a volume db already, of 8 MiB, qcow2",
    )


def test_a_volume_that_the_disk_could_not_hold_is_refused(node: VmNode) -> None:
    """It would begin small, and stop every guest of the node when it has grown."""
    status, message = node.fail("make_volume", name="db", size_mib=2**31)

    assert status == 1
    assert f"no room for {2**31} MiB" in message
    assert node.left() == []


def test_room_that_is_promised_is_not_promised_again(node: VmNode) -> None:
    free = shutil.disk_usage(node.place).free // MIB
    node.do("make_volume", name="one", size_mib=free * 2 // 3)

    _, message = node.fail("make_volume", name="two", size_mib=free * 2 // 3)

    assert "promised to other volumes" in message
    assert node.left() == ["volumes/one"]


def test_a_volume_that_cannot_be_made_leaves_nothing(node: VmNode) -> None:
    status, message = node.fail(
        "make_volume", name="db", size_mib=8, path=only_with(node.place, "env")
    )

    assert (status, message) == (1, "qemu-img cannot be run: No such file or directory")
    assert node.left() == []


def test_a_destroyed_volume_is_gone_and_can_be_destroyed_again(node: VmNode) -> None:
    node.do("make_volume", name="db", size_mib=8)

    assert node.do("destroy_volume", name="db")["changed"] is True
    assert node.do("destroy_volume", name="db")["changed"] is False
    assert node.left() == []


def test_on_a_node_without_machines_everything_is_absent(node: VmNode) -> None:
    assert node.do("destroy_volume", name="db")["changed"] is False
    assert node.do("remove_config", name="db")["changed"] is False
    assert node.do("stop", name="db")["state"] == "absent"
    assert node.do("status", name="db")["state"] == "absent"


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "Db", "x" * 64, "a\n"])
def test_names_that_could_mean_something_else_are_refused(node: VmNode, name: str) -> None:
    with pytest.raises(Exception, match="name"):
        node.call("make_volume", name=name, size_mib=8)


def test_a_guest_is_configured_once_and_not_otherwise(node: VmNode) -> None:
    node.do("make_volume", name="db", size_mib=8)

    assert node.do("make_config", name="db", volume="db", job="j1")["made"] is True
    assert node.do("make_config", name="db", volume="db", job="j2")["made"] is False
    assert node.fail("make_config", name="db", volume="db", memory_mib=256) == (
        4,
        "there is a guest db already, with another memory_mib",
    )


@pytest.mark.parametrize(
    ("config", "status", "message"),
    [
        ({"volume": "none"}, 4, "there is no volume none"),
        ({"volume": "db", "memory_mib": 10**9}, 4, "memory_mib is 1000000000; 64 to"),
        ({"volume": "db", "memory_mib": 1}, 4, "memory_mib is 1; 64 to"),
        ({"volume": "db", "cpus": 0}, 4, "cpus is 0; 1 to"),
        ({"volume": "db", "kernel": "/etc/hostname"}, 4, "/etc/hostname is not under"),
        ({"volume": "db", "kernel": "{images}/none"}, 4, "there is no file"),
    ],
)
def test_a_guest_that_could_not_run_is_not_configured(
    node: VmNode, config: dict[str, Any], status: int, message: str
) -> None:
    node.do("make_volume", name="db", size_mib=8)
    config = {
        key: value.format(images=node.images) if isinstance(value, str) else value
        for key, value in config.items()
    }

    found, said = node.fail("make_config", name="db", **config)

    assert (found, message in said) == (status, True), said
    assert node.left() == ["volumes/db"]


def test_a_removed_configuration_is_told_so_that_it_can_come_back(node: VmNode) -> None:
    node.do("make_volume", name="db", size_mib=8)
    node.do("make_config", name="db", volume="db", memory_mib=96, append="quiet")

    told = node.do("remove_config", name="db")
    data = {name: value for name, value in told.items() if name != "changed"}
    node.do("make_config", **data)

    assert told["changed"] is True
    assert node.do("status", name="db")["memory_mib"] == 96


def test_a_volume_that_a_guest_has_is_not_destroyed(node: VmNode) -> None:
    node.do("make_volume", name="db", size_mib=8)
    node.do("make_config", name="web", volume="db")

    assert node.fail("destroy_volume", name="db") == (
        4,
        "volume db belongs to web; remove_config goes first",
    )


@pytest.mark.parametrize("form", ["qcow2", "raw"])
@pytest.mark.parametrize("kept_as", ["qcow2", "raw"])
def test_an_image_is_what_a_guest_reads(node: VmNode, form: str, kept_as: str) -> None:
    made = node.do("make_volume", name="db", size_mib=8, format=kept_as)
    make_disk(node.images / "one.img", b"hello", form=form)

    told = node.do("write_image", volume="db", image=str(node.images / "one.img"))

    assert (told["changed"], told["bytes"]) == (True, MIB)
    content = content_of(made["path"], node.place)
    assert (content[:5], len(content)) == (b"hello", 8 * MIB)
    assert node.do("make_volume", name="db", size_mib=8, format=kept_as)["made"] is True


def test_an_image_is_written_once_and_another_only_on_demand(node: VmNode) -> None:
    made = node.do("make_volume", name="db", size_mib=8)
    make_disk(node.images / "one.img", b"one")
    make_disk(node.images / "two.img", b"two")
    one, two = str(node.images / "one.img"), str(node.images / "two.img")

    assert node.do("write_image", volume="db", image=one)["changed"] is True
    assert node.do("write_image", volume="db", image=one, job="j2")["changed"] is False
    assert "holds" in node.fail("write_image", volume="db", image=two)[1]
    assert content_of(made["path"], node.place)[:3] == b"one"
    assert node.do("write_image", volume="db", image=two, overwrite=True)["changed"] is True
    assert content_of(made["path"], node.place)[:3] == b"two"


def test_an_image_that_does_not_fit_leaves_the_volume_as_it_was(node: VmNode) -> None:
    made = node.do("make_volume", name="db", size_mib=1)
    (node.images / "big.img").write_bytes(b"x" * (2 * MIB))

    status, message = node.fail("write_image", volume="db", image=str(node.images / "big.img"))

    assert (status, "has 2097152 bytes" in message) == (4, True)
    assert content_of(made["path"], node.place).strip(b"\0") == b""
    kept = {path.name for path in (node.state / "volumes/db").iterdir()}
    assert kept == {"disk", "record.json"}


def test_an_image_that_reads_other_files_is_refused(node: VmNode) -> None:
    """Who may bring an image must not read /etc/shadow with it."""
    node.do("make_volume", name="db", size_mib=8)
    secret = node.place / "secret.raw"
    secret.write_bytes(b"secret".ljust(MIB, b"\0"))
    trap = str(node.images / "trap.img")
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(secret), "-F", "raw", trap],
        check=True,
    )
    link = node.images / "link.img"
    link.symlink_to(secret)

    assert "refers to other files" in node.fail("write_image", volume="db", image=trap)[1]
    assert "is not under" in node.fail("write_image", volume="db", image=str(link))[1]


def test_an_image_of_several_files_is_refused(node: VmNode) -> None:
    node.do("make_volume", name="db", size_mib=8)
    make_disk(node.images / "one.vmdk", b"x", form="vmdk")

    status, message = node.fail("write_image", volume="db", image=str(node.images / "one.vmdk"))

    assert (status, "is vmdk; images are raw or qcow2" in message) == (4, True)


@pytest.mark.parametrize(
    "settings",
    ["{", "[]", '{"stat": "/x"}', '{"state": "x"}', '{"images": "/x"}', '{"provider": "xen"}'],
)
def test_settings_with_a_mistake_do_nothing_elsewhere(node: VmNode, settings: str) -> None:
    (node.place / "vm.json").write_text(settings)

    status, message = node.fail("make_volume", name="db", size_mib=8)

    assert (status, "vm.json" in message) == (1, True)


def test_without_qemu_and_libvirt_nothing_starts_and_both_are_named(node: VmNode) -> None:
    node.configure(provider="auto")
    node.do("make_volume", name="db", size_mib=8)
    node.do("make_config", name="db", volume="db")

    status, message = node.fail("start", name="db", path=only_with(node.place, "qemu-img"))

    assert status == 1
    assert "libvirt: there is no virsh" in message
    assert "qemu: there is no qemu-system-x86_64" in message
