"""Detect network file systems, where file locks do not reliably show which process is alive."""

from __future__ import annotations

import os
import re
from pathlib import Path

from llmops_sdk.errors import StoreError

__all__ = ["network_file_system", "refuse_network"]

_MOUNTS = Path("/proc/self/mountinfo")
_MAX_BYTES = 4 * 1024**2
_OCTAL = re.compile(r"\\([0-7]{3})")
_NETWORK = frozenset({
    "afs", "beegfs", "ceph", "cifs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
    "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs",
})  # fmt: skip


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the network file system under a path, as in "nfs4"; None for a local or unknown one.

    Args:
        path: The path; it need not exist.
        mounts: The kernel's table of mounts, as on Linux.
    """
    try:
        with mounts.open(encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(_MAX_BYTES).splitlines()
    except OSError:
        return None
    place = os.path.realpath(path)
    found, length = "", -1
    for line in lines:
        head, _, tail = line.partition(" - ")
        fields, type_name = head.split(" "), tail.split(" ")[0]
        if len(fields) < 5 or not type_name:
            continue
        mount = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = place == mount or place.startswith(mount.rstrip("/") + "/")
        # A later mount on the same path hides the earlier one.
        if inside and len(mount) >= length:
            found, length = type_name, len(mount)
    return found if found in _NETWORK else None


def refuse_network(path: Path, mounts: Path = _MOUNTS) -> None:
    """Raise when a store would lie on a network file system.

    Args:
        path: The store's folder.
        mounts: The kernel's table of mounts.

    Raises:
        StoreError: The store would lie on one; the message names it and the setting.
    """
    found = network_file_system(path, mounts)
    if found is not None:
        raise StoreError(
            f"the store {path} lies on a network file system ({found}), whose locks do not reliably show which "
            "process still writes: set [store] path (or LLMOPS_STORE__PATH) to a local folder, or, if only one machine "
            'uses the store, set [store] network = "allow"',
            path=str(path),
        )
