"""The vm agent runs real guests: they boot, speak, shut down, and leave nothing."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent_programs import PATH, command_of, prepare, take_reply
from tests.guest import GuestFiles, make_image
from tests.processes import wait_for
from tests.vm_node import AGENT, VmNode, guest_pids, vm_node

pytestmark = pytest.mark.timeout(300)
PATIENT = 120.0  #: seconds that a guest may take on a busy machine


@pytest.fixture
def node(tmp_path: Path) -> Iterator[VmNode]:
    with vm_node(tmp_path) as node:
        yield node


@pytest.fixture
def build(node: VmNode, guest_files: GuestFiles) -> Callable[[str, str], None]:
    """Build a guest: its name, and what it does then."""
    return lambda name, then: build_guest(node, guest_files, name, then)


def build_guest(node: VmNode, files: GuestFiles, name: str, then: str) -> None:
    for path in (files.kernel, files.initrd):
        shutil.copy(path, node.images)
    own = GuestFiles(node.images / files.kernel.name, node.images / files.initrd.name)
    make_image(node.images / "line.img", "the image")
    node.build(name, own, node.images / "line.img", then=then)


def test_a_guest_boots_from_its_image_runs_on_by_itself_and_shuts_down(
    node: VmNode, build: Callable[[str, str], None]
) -> None:
    build("db", "wait")

    started = node.do("start", name="db", expect="db reads: the image", within_s=PATIENT)

    assert (started["state"], started["started"]) == ("running", True)
    assert (started["provider"], started["accelerator"]) == ("qemu", "tcg")
    assert os.getsid(started["pid"]) == os.getpgid(started["pid"])
    assert os.getsid(started["pid"]) != os.getsid(0)
    assert b"FLEETJOBS" not in Path(f"/proc/{started['pid']}/environ").read_bytes()

    told = node.do("status", name="db")

    assert (told["state"], told["pid"]) == ("running", started["pid"])
    assert "db reads: the image" in told["console"]
    assert node.do("start", name="db", job="j1")["started"] is True
    assert node.do("start", name="db", job="j2")["started"] is False
    assert "stop goes first" in node.fail("remove_config", name="db")[1]
    again = {"volume": "db", "image": str(node.images / "line.img"), "overwrite": True}
    assert "stop goes first" in node.fail("write_image", job="j2", **again)[1]

    stopped = node.do("stop", name="db", within_s=PATIENT)

    assert (stopped["state"], stopped["how"], stopped["changed"]) == ("stopped", "shutdown", True)
    told = node.do("status", name="db")
    assert (told["state"], told["pid"]) == ("stopped", None)
    assert "db shuts down" in told["console"]
    assert node.do("stop", name="db")["changed"] is False
    node.do("remove_config", name="db")
    node.do("destroy_volume", name="db")
    assert node.left() == []


def test_a_guest_that_does_not_listen_is_ended(
    node: VmNode, build: Callable[[str, str], None]
) -> None:
    build("db", "deaf")
    node.do("start", name="db", expect="reads:", within_s=PATIENT)

    stopped = node.do("stop", name="db", within_s=0.5)

    assert (stopped["state"], stopped["how"]) == ("stopped", "killed")
    assert guest_pids(node.state) == []


def test_a_guest_that_says_something_else_is_ended_and_its_words_are_kept(
    node: VmNode, build: Callable[[str, str], None]
) -> None:
    build("db", "off")

    called = node.call("start", name="db", expect="login:", within_s=PATIENT)

    assert called.reply is not None
    assert called.reply["statusmsg"] == "db ended, and never said 'login:'"
    assert called.data["started"] is False
    assert b"db reads: the image" in called.stdout
    assert guest_pids(node.state) == []


def test_a_guest_that_says_nothing_in_time_is_ended(
    node: VmNode, build: Callable[[str, str], None]
) -> None:
    build("db", "wait")

    status, message = node.fail("start", name="db", expect="login:", within_s=0.1)

    assert (status, message) == (1, "db has not said 'login:' within 0.1 s")
    assert guest_pids(node.state) == []


def test_a_cancelled_start_leaves_no_guest(node: VmNode, build: Callable[[str, str], None]) -> None:
    build("db", "wait")
    work = node.place / "work"
    data = {"name": "db", "expect": "login:", "within_s": PATIENT}
    env = {"FLEETJOBS_VM_CONFIG": str(node.place / "vm.json"), "PATH": PATH}
    with subprocess.Popen(
        command_of(AGENT), cwd=work, env=prepare(AGENT, work, "start", data, env=env)
    ) as process:
        wait_for(lambda: guest_pids(node.state), within=PATIENT)

        process.send_signal(signal.SIGTERM)

        process.wait()
    assert guest_pids(node.state) == []
    reply = take_reply(work)
    assert reply is None or reply["statuscode"] != 0


def test_what_qemu_refuses_is_told_in_its_words(
    node: VmNode, build: Callable[[str, str], None]
) -> None:
    build("db", "wait")
    (node.images / "vmlinuz").unlink()  # it was there when the guest was configured

    status, message = node.fail("start", name="db")

    assert status == 1
    assert "qemu-system-x86_64 ended with 1" in message
    assert "vmlinuz" in message
    assert node.do("status", name="db")["state"] == "stopped"


def test_libvirt_runs_guests_where_it_answers(guest_files: GuestFiles) -> None:
    """It is no part of what the tests install: it wants a whole system around it."""
    if not shutil.which("virsh") or subprocess.call(["virsh", "-q", "version"], timeout=60):
        pytest.skip("libvirt does not answer here")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        Path(place).chmod(0o755)  # its guests run as a user of its own
        with vm_node(Path(place)) as node:
            node.configure(provider="auto")
            build_guest(node, guest_files, "fleetjobs-test", "wait")

            started = node.do("start", name="fleetjobs-test", expect="reads: the image")
            again = node.do("start", name="fleetjobs-test", job="j2")
            stopped = node.do("stop", name="fleetjobs-test", within_s=PATIENT)

            assert (started["provider"], started["state"]) == ("libvirt", "running")
            assert again["started"] is False
            assert (stopped["state"], stopped["how"]) == ("stopped", "shutdown")
            node.do("remove_config", name="fleetjobs-test")
            node.do("destroy_volume", name="fleetjobs-test")
            assert node.left() == []
