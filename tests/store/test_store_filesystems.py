"""Network file systems are told from the kernel's own table of mounts, and refused."""

from __future__ import annotations

import pytest

from llmops_sdk.config import Settings, StoreSettings
from llmops_sdk.errors import StoreError
from llmops_sdk.store import open_sink
from llmops_sdk.store.files._filesystems import network_file_system, refuse_network

TABLE = """\
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:30 / {root}/share rw - nfs4 server:/export rw
31 22 0:31 / {root}/share/local rw - tmpfs tmpfs rw
32 22 0:32 / {root}/with\\040space rw - fuse.sshfs me@host: rw
33 22 0:33 / {root}/over rw - cifs //server/a rw
34 22 0:34 / {root}/over rw - ext4 /dev/vdb rw
broken line
35 22 0:35 /
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("share", "nfs4"), ("share/app/.llmops", "nfs4"), ("share/local/x", None), ("shared", None), ("other", None),
        ("with space/x", "fuse.sshfs"), ("over/x", None),
    ],
)  # fmt: skip
def test_the_longest_mount_decides_and_the_latest_of_two(tmp_path, place, kind):
    table = tmp_path / "mountinfo"
    table.write_text(TABLE.replace("{root}", str(tmp_path)))
    assert network_file_system(tmp_path / place, table) == kind
    if kind is None:
        refuse_network(tmp_path / place, table)
    else:
        with pytest.raises(StoreError, match=rf"network file system \({kind}\).*LLMOPS_STORE__PATH"):
            refuse_network(tmp_path / place, table)


def test_a_link_is_followed(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(TABLE.replace("{root}", str(tmp_path)))
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    assert network_file_system(tmp_path / "link" / "store", table) == "nfs4"


def test_where_nothing_tells_nothing_is_refused(tmp_path):
    assert network_file_system(tmp_path, tmp_path / "none") is None


@pytest.mark.parametrize("network", ["refuse", "allow"])
def test_this_machines_own_table_can_be_read(tmp_path, network):
    sink = open_sink(Settings(store=StoreSettings(path=tmp_path / "store", network=network)))
    assert sink is not None
    sink.close(1.0)
