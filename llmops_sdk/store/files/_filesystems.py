"""On what a store lies: a lock there must tell who lives, which those of network file systems do not do for certain."""

from __future__ import annotations

import os
import re
from pathlib import Path

from llmops_sdk.errors import StoreError

__all__ = ["network_file_system", "refuse_network"]

_MOUNTS = Path("/proc/self/mountinfo")
_MOST = 4 * 1024**2  # bytes of it that are read
_OCTAL = re.compile(r"\\([0-7]{3})")
_NETWORK = frozenset({
    "afs", "beegfs", "ceph", "cifs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
    "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs",
})  # fmt: skip


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """The kind of network file system that a path lies on, as in "nfs4", or None; None too where nothing tells.

    Args:
        path: It need not be there.
        mounts: The kernel's table of mounts, as on Linux.
    """
    try:
        with mounts.open(encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(_MOST).splitlines()
    except OSError:
        return None
    place = os.path.realpath(path)
    found, length = "", -1
    for line in lines:
        head, _, tail = line.partition(" - ")
        fields, kind = head.split(" "), tail.split(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        mount = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = place == mount or place.startswith(mount.rstrip("/") + "/")
        # The later of two on the same place lies over the earlier.
        if inside and len(mount) >= length:
            found, length = kind, len(mount)
    return found if found in _NETWORK else None


def refuse_network(path: Path, mounts: Path = _MOUNTS) -> None:
    """Raise where a store would lie on a network file system.

    Args:
        path: The store's folder.
        mounts: As above.

    Raises:
        StoreError: It names the file system and what to set.
    """
    kind = network_file_system(path, mounts)
    if kind is not None:
        raise StoreError(
            f"the store {path} lies on a network file system ({kind}), whose locks do not tell for certain which "
            "process still writes: set [store] path (or LLMOPS_STORE__PATH) to a local folder; or, where one machine "
            'alone uses it, [store] network = "allow"',
            path=str(path),
        )
