"""Small disks of our own under a real ext4: to fill, to grow and to break.

An Ext4 (or Xfs) lies in an image file on a loop device. Two more fail on command, through one
more layer; the faults are those of faulty_disk.py:

    FuseExt4    image <- faulty_disk.py (FUSE) <- loop <- ext4
    DmExt4      image <- loop <- device mapper: linear, error, flakey <- ext4

All of it needs root. Where something is missing the constructor raises Impossible, whose text
is the reason to give for a skipped test. close() undoes everything, in whatever state it is.
"""
import fcntl
import glob
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
COMMAND_SECONDS_MAX = 60
SECTOR_SIZE = 512
MIB = 1 << 20

FS_IOC_FIEMAP = 0xC020660B
FIEMAP_FLAG_SYNC = 1
FIEMAP_HEADER = struct.Struct("=QQIIII")
FIEMAP_EXTENT = struct.Struct("=QQQQQIIII")
FIEMAP_EXTENTS_MAX = 512


LIVE = []


def close_leftovers():
    """For a run that is ended from outside: no mount and no device outlives it."""
    for disk in list(LIVE):
        disk.close()



class Impossible(Exception):
    """This machine does not allow it; the text says what is missing."""


def run(*arguments):
    """Runs a command that must work; gives what it printed."""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=COMMAND_SECONDS_MAX, check=False)
    text = done.stdout.decode(errors="replace").strip()
    if done.returncode != 0:
        raise RuntimeError("%s: exit code %d: %s" % (" ".join(arguments), done.returncode, text))
    return text


def require_tools(*names):
    if os.geteuid() != 0:
        raise Impossible("a disk of its own needs root")
    for name in names:
        if not shutil.which(name):
            raise Impossible("no %s" % name)


def attach_loop(path):
    if not os.path.exists("/dev/loop-control"):
        raise Impossible("no loop devices (/dev/loop-control)")
    try:
        return run("losetup", "--find", "--show", path)
    except RuntimeError as error:
        raise Impossible("no loop device to be had: %s" % error) from None


def file_ranges(path):
    """[begin, end) of the file's bytes on its device, by FIEMAP."""
    buffer = bytearray(FIEMAP_HEADER.size + FIEMAP_EXTENTS_MAX * FIEMAP_EXTENT.size)
    FIEMAP_HEADER.pack_into(buffer, 0, 0, (1 << 64) - 1, FIEMAP_FLAG_SYNC, 0, FIEMAP_EXTENTS_MAX, 0)
    with open(path, "rb") as file:
        fcntl.ioctl(file.fileno(), FS_IOC_FIEMAP, buffer)
    count = FIEMAP_HEADER.unpack_from(buffer)[3]
    assert 0 < count < FIEMAP_EXTENTS_MAX, count
    extents = [FIEMAP_EXTENT.unpack_from(buffer, FIEMAP_HEADER.size + i * FIEMAP_EXTENT.size)
               for i in range(count)]
    return [[physical, physical + size] for _, physical, size, *_ in extents]


class Ext4:
    """An ext4 in an image of its own, mounted at self.path from the start."""
    fs = "ext4"
    tools = ("mkfs.ext4", "e2fsck", "resize2fs")
    make = ("mkfs.ext4", "-q", "-m", "0")

    def __init__(self, directory, size_mib):
        require_tools("losetup", "mount", "umount", *self.tools)
        self.image = os.path.join(directory, "image")
        self.path = os.path.join(directory, "disk")
        self.loop = None
        self.is_mounted = False
        os.makedirs(self.path)
        with open(self.image, "wb") as file:
            file.truncate(size_mib * MIB)
        run(*self.make, self.image)
        LIVE.append(self)
        try:
            self.device = self.attach()
            self.mount()
        except BaseException:
            self.close()
            raise

    def attach(self):
        """Makes the block device; gives its path."""
        self.loop = attach_loop(self.image)
        return self.loop

    def detach(self):
        if self.loop:
            run("losetup", "--detach", self.loop)
        self.loop = None

    def mount(self):
        try:
            run("mount", "-t", self.fs, self.device, self.path)
        except RuntimeError as error:
            raise Impossible("cannot mount here: %s" % error) from None
        self.is_mounted = True

    def unmount(self):
        # The kernel ends the requests of a killed process after the process.
        deadline = time.monotonic() + COMMAND_SECONDS_MAX
        while self.is_mounted:
            try:
                run("umount", self.path)
                self.is_mounted = False
            except RuntimeError as error:
                if "busy" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def repair_and_mount(self):
        """What a start of the machine does: e2fsck, then mount."""
        done = subprocess.run(["e2fsck", "-f", "-y", self.device], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=COMMAND_SECONDS_MAX)
        if done.returncode not in (0, 1):
            raise RuntimeError("e2fsck: %d: %s" % (done.returncode, done.stdout.decode()))
        self.mount()

    def grow(self, size_mib):
        """Makes disk and file system larger while they are in use."""
        os.truncate(self.image, size_mib * MIB)
        run("losetup", "--set-capacity", self.loop)
        self.grow_file_system()

    def grow_file_system(self):
        try:
            run("resize2fs", self.device)
        except RuntimeError as error:
            if "Permission denied" in str(error):
                raise Impossible("no CAP_SYS_RESOURCE: an ext4 in use cannot be grown") from None
            raise

    def fill(self, name="ballast"):
        """Takes all the room that is left with one file; gives its path."""
        path = os.path.join(self.path, name)
        with open(path, "wb") as file:
            for chunk in (MIB, 4096):
                block = b"\0" * chunk
                try:
                    while True:
                        os.write(file.fileno(), block)
                except OSError:
                    pass
            try:
                os.fsync(file.fileno())
            except OSError:
                pass
        return path

    def close(self):
        if self.is_mounted:
            # Lazily: a process that still runs there must not keep the disk in the machine.
            subprocess.run(["umount", "--lazy", self.path], check=False, stderr=subprocess.DEVNULL)
            self.is_mounted = False
        self.detach()
        if self in LIVE:
            LIVE.remove(self)


class Xfs(Ext4):
    """The same with xfs, which to grow takes fewer capabilities."""
    fs = "xfs"
    tools = ("mkfs.xfs", "xfs_growfs")
    make = ("mkfs.xfs", "-q")

    def grow_file_system(self):
        run("xfs_growfs", "-d", self.path)


class FuseExt4(Ext4):
    kind = "fuse"
    disk = None

    def attach(self):
        if not os.path.exists("/dev/fuse"):
            raise Impossible("no /dev/fuse")
        self.target = self.image + ".fuse"
        with open(self.target, "wb"):
            pass
        self.disk = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "faulty_disk.py"), self.image, self.target],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.read_answer()
        except RuntimeError as error:
            raise Impossible("no FUSE here: %s" % error) from None
        self.loop = attach_loop(self.target)
        return self.loop

    def read_answer(self):
        if not select.select([self.disk.stdout], [], [], COMMAND_SECONDS_MAX)[0]:
            raise RuntimeError("the faulty disk does not answer")
        line = self.disk.stdout.readline()
        if not line:
            raise RuntimeError(self.disk.stderr.read().decode().strip())
        return json.loads(line)

    def command(self, **words):
        self.disk.stdin.write(json.dumps(words).encode() + b"\n")
        self.disk.stdin.flush()
        return self.read_answer()

    def fault(self, mode, ranges=None):
        self.command(mode=mode, ranges=ranges)

    def heal(self):
        self.command(mode="none")

    def detach(self):
        super().detach()
        if self.disk is None:
            return
        self.disk.stdin.close()
        try:
            self.disk.wait(COMMAND_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.disk.kill()
            self.disk.wait()
        subprocess.run(["umount", "--lazy", self.target], check=False, stderr=subprocess.DEVNULL)
        self.disk.stdout.close()
        self.disk.stderr.close()
        self.disk = None


# The targets of each fault, with what follows `begin length name device offset`.
DM_TARGETS = {"none": ("linear", ""), "error": ("error", ""),
              "error_writes": ("flakey", " 0 3600 1 error_writes"),
              "drop_writes": ("flakey", " 0 3600 1 drop_writes")}


def dm_table(device, sectors, mode, ranges):
    """The table of a device whose given bytes (None: all) have the fault."""
    wanted = [[0, sectors]] if ranges is None else sorted(
        [begin // SECTOR_SIZE, -(-end // SECTOR_SIZE)] for begin, end in ranges)
    lines, at = [], 0

    def add(begin, end, kind):
        if begin < end:
            name, rest = DM_TARGETS[kind]
            place = "" if name == "error" else " %s %d" % (device, begin)
            lines.append("%d %d %s%s%s" % (begin, end - begin, name, place, rest))

    for begin, end in wanted:
        add(at, begin, "none")
        add(max(at, begin), end, mode)
        at = max(at, end)
    add(at, sectors, "none")
    return "\n".join(lines) + "\n"


class DmExt4(Ext4):
    kind = "dm"
    name = None
    count = 0

    def attach(self):
        require_tools("dmsetup")
        for module in ("dm-mod", "dm-flakey"):
            if shutil.which("modprobe"):
                subprocess.run(["modprobe", "--quiet", module], check=False,
                               stderr=subprocess.DEVNULL)
        try:
            targets = run("dmsetup", "targets")
        except RuntimeError as error:
            raise Impossible("no device mapper: %s" % str(error).splitlines()[0]) from None
        known = {line.split()[0] for line in targets.splitlines() if line}
        for target, _ in DM_TARGETS.values():
            if target not in known:
                raise Impossible("no device mapper target %s" % target)
        self.loop = attach_loop(self.image)
        self.sectors = os.path.getsize(self.image) // SECTOR_SIZE
        DmExt4.count += 1
        name = "weir-test-%d-%d" % (os.getpid(), DmExt4.count)
        run("dmsetup", "create", name, "--table", dm_table(self.loop, self.sectors, "none", None))
        self.name = name
        run("dmsetup", "mknodes", name)
        return "/dev/mapper/" + name

    def fault(self, mode, ranges=None):
        table = os.path.join(os.path.dirname(self.image), "table")
        with open(table, "w", encoding="ascii") as file:
            file.write(dm_table(self.loop, self.sectors, mode, ranges))
        run("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)
        try:
            run("dmsetup", "load", self.name, table)
        finally:
            run("dmsetup", "resume", self.name)

    def heal(self):
        self.fault("none")

    def detach(self):
        if self.name:
            run("dmsetup", "remove", "--retry", self.name)
        self.name = None
        super().detach()


def left_over(directory):
    """The mounts, loop devices and mappings of this directory that are still there."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        found = [line.split()[1] for line in file if line.split()[1].startswith(directory)]
    for path in glob.glob("/sys/block/loop*/loop/backing_file"):
        try:
            with open(path, encoding="utf-8") as file:
                backing = file.read().strip()
        except OSError:
            continue
        if backing.startswith(directory):
            found.append(path.split("/")[3])
    return found
