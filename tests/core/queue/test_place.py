"""A queue is opened on a disk of this machine and in a folder of its own account, or not at all."""

from __future__ import annotations

import os
import subprocess

import pytest

from fetchml_core.errors import HostError
from fetchml_core.queue.place import Mount, check_place, mount_of, parse_mounts
from tests.support.require import need

TABLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 27 0:45 / /home rw,relatime shared:2 master:1 - nfs4 filer:/home rw,vers=4.2
41 27 0:46 /sub /mnt/my\040share rw - cifs //filer/my\040share rw
42 27 0:47 / /mnt/ssh rw,nosuid - fuse.sshfs anna@box:/data rw
43 40 254:1 / /home/disk rw - xfs /dev/vdb rw
44 27 0:48 / /data rw - nfs filer:/data rw
45 27 254:2 / /data rw - btrfs /dev/vdc rw
broken line
"""


@pytest.fixture
def mounts(tmp_path):
    """A table of mounts of which one line is our own disk, as if it were of another type."""

    def write(kind, source="filer:/export"):
        device = os.stat(tmp_path).st_dev
        path = tmp_path / "mountinfo"
        path.write_text(f"1 0 {os.major(device)}:{os.minor(device)} / / rw - {kind} {source} rw\n")
        return path

    return write


@pytest.mark.parametrize(
    ("path", "device", "kind"),
    [
        ("/srv/queue", "254:0", "ext4"),
        ("/home/ml/queue", "0:45", "nfs4"),
        ("/home/disk/queue", "254:1", "xfs"),
        ("/homework/queue", "254:0", "ext4"),
        ("/mnt/my share/queue", "0:46", "cifs"),
        ("/mnt/ssh", "0:47", "fuse.sshfs"),
        ("/data/queue", "254:2", "btrfs"),
        ("/data/queue", "0:99", "btrfs"),  # of one mount point the later mount counts
        ("/data/queue", "0:48", "nfs"),  # still open below the one that covers it
        ("/home/disk/queue", "0:98", "xfs"),
    ],
)
def test_the_mount_of_a_place(path, device, kind):
    """The device decides; where no line has it, the longest mount point does."""
    mount = mount_of(path, device, parse_mounts(TABLE))

    assert mount is not None
    assert mount.kind == kind


def test_escapes_are_undone():
    """A mount point with a space is the one people know."""
    assert Mount("0:46", "/mnt/my share", "cifs", "//filer/my share") in parse_mounts(TABLE)
    assert len(parse_mounts(TABLE)) == 8


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "ceph", "lustre", "fuse.rclone"]
)
def test_network_file_systems_are_refused(kind, tmp_path, mounts):
    """#19: no queue on a file system of the network; the error names it, its place and the way out."""
    with pytest.raises(HostError, match="queue-place") as caught:
        check_place(tmp_path / "queue", mounts=mounts(kind))

    assert kind in caught.value.message
    assert str(tmp_path / "queue") in caught.value.context
    assert "filer:/export" in caught.value.context
    assert "base_path" in caught.value.hint


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "fuseblk", "9p"])
def test_disks_of_the_machine_are_taken(kind, tmp_path, mounts):
    """Any file system of one machine will do."""
    check_place(tmp_path / "queue", mounts=mounts(kind))


def test_without_a_table_of_mounts(tmp_path):
    """A system that has none is no reason to refuse."""
    check_place(tmp_path / "queue", mounts=tmp_path / "none")


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o702, 0o1777])
def test_a_folder_for_others_to_write_is_refused(mode, tmp_path):
    """#19: nobody else may write where the queue's files lie, sticky bit or not."""
    folder = tmp_path / "queue"
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(HostError, match=f"queue-place.*{mode:04o}") as caught:
        check_place(folder)
    assert (caught.value.context, caught.value.hint) == (str(folder), f"chmod go-w {folder}")

    subprocess.run(caught.value.hint.split(), check=True)
    check_place(folder)


@pytest.mark.parametrize(("mode", "good"), [(0o777, False), (0o775, False), (0o1777, True), (0o755, True)])
def test_the_folder_it_would_be_made_in(mode, good, tmp_path):
    """#19: a queue is not made where others could put their own in its place; the sticky bit keeps them from it."""
    tmp_path.chmod(mode)
    folder = tmp_path / "not" / "there" / "queue"
    if good:
        check_place(folder)
    else:
        with pytest.raises(HostError, match="queue-place") as caught:
            check_place(folder)
        assert caught.value.context == str(tmp_path)


def test_a_folder_of_another_account_is_refused(tmp_path):
    """#19: a queue in somebody else's folder is not ours, and root is no exception: its files would lock the owner out."""
    need("root")
    folder = tmp_path / "queue"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)

    with pytest.raises(HostError, match=r"queue-place.*uid 12345") as caught:
        check_place(folder)
    assert caught.value.context == str(folder)

    with pytest.raises(HostError, match=r"queue-place.*uid 12345"):
        check_place(folder / "below")


def test_a_link_is_followed(tmp_path, mounts):
    """What counts is where the files come to lie."""
    target = tmp_path / "target"
    target.mkdir(mode=0o777)
    target.chmod(0o777)
    (tmp_path / "queue").symlink_to(target)

    with pytest.raises(HostError, match="queue-place"):
        check_place(tmp_path / "queue")


def test_this_machine(tmp_path):
    """The real table of mounts can be read, and a private folder is taken."""
    check_place(tmp_path)
    check_place(tmp_path / "queue")
