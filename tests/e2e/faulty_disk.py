#!/usr/bin/env python3
"""A disk that fails on command: one file, served through FUSE, for a loop device to lie on.

usage: faulty_disk.py IMAGE MOUNTPOINT-FILE

The kernel's own block layer, ext4 and io_uring see what a failing drive would show them:
real errors from real requests. It speaks the FUSE protocol itself (linux/fuse.h, 7.31) on
/dev/fuse, because the bindings are not everywhere and one file needs few operations. It is a
process of its own: whoever writes to the disk waits for it, so it must wait for nobody.

Commands come as lines of JSON on stdin and are answered with one line on stdout:

    {"mode": "error", "ranges": [[0, 1048576]]}     reads and writes of these bytes give EIO
    {"mode": "error_writes", "ranges": null}        every write gives EIO, reads work
    {"mode": "drop_writes", "ranges": null}         writes and flushes "succeed", nothing is kept
    {"mode": "none"}                                a good disk again

The answer is {"hits": n}: how many requests the fault that ends here has met. The end of
stdin unmounts and ends the process.
"""
import ctypes
import errno
import json
import os
import select
import struct
import sys

IN_HEADER = struct.Struct("<IIQQIIII")   # len, opcode, unique, nodeid, uid, gid, pid, padding
OUT_HEADER = struct.Struct("<IiQ")       # len, error, unique
READ_IN = struct.Struct("<QQIIQII")      # fh, offset, size, read_flags, owner, flags, padding
WRITE_IN = struct.Struct("<QQIIQII")
INIT_OUT = struct.Struct("<IIIIHHIIHHI7I")
ATTR_OUT = struct.Struct("<QII" + "QQQQQQIIIIIIIIII")
OPEN_OUT = struct.Struct("<QII")

FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, RELEASE, FSYNC, FLUSH = 2, 3, 4, 14, 15, 16, 18, 20, 25
INIT, INTERRUPT, DESTROY, BATCH_FORGET = 26, 36, 38, 42
FOPEN_DIRECT_IO = 1
ASYNC_READ, BIG_WRITES, MAX_PAGES = 1 << 0, 1 << 5, 1 << 22
IO_SIZE_MAX = 1 << 20
S_IFREG = 0o100000
MNT_DETACH = 2


class Disk:
    def __init__(self, image):
        self.file = os.open(image, os.O_RDWR | os.O_CLOEXEC)
        self.size = os.fstat(self.file).st_size
        self.mode, self.ranges, self.hits = "none", None, 0

    def command(self, words):
        answer = {"hits": self.hits}
        self.mode, self.ranges, self.hits = words["mode"], words.get("ranges"), 0
        return answer

    def meets_fault(self, offset, size):
        hit = self.mode != "none" and (self.ranges is None or any(
            offset < end and offset + size > begin for begin, end in self.ranges))
        self.hits += hit
        return hit

    def handle(self, opcode, body):
        """The answer to one request: bytes, or an errno."""
        if opcode == INIT:
            return INIT_OUT.pack(7, 31, 0, ASYNC_READ | BIG_WRITES | MAX_PAGES, 16, 12,
                                 IO_SIZE_MAX, 1, IO_SIZE_MAX // 4096, 0, 0, *[0] * 7)
        if opcode in (GETATTR, SETATTR):
            return ATTR_OUT.pack(3600, 0, 0, 1, self.size, self.size // 512, 0, 0, 0, 0, 0, 0,
                                 S_IFREG | 0o600, 1, 0, 0, 0, 4096, 0)
        if opcode == OPEN:
            return OPEN_OUT.pack(1, FOPEN_DIRECT_IO, 0)
        if opcode == READ:
            _, offset, size = READ_IN.unpack_from(body)[:3]
            if self.mode == "error" and self.meets_fault(offset, size):
                return errno.EIO
            return os.pread(self.file, size, offset)
        if opcode == WRITE:
            return self.write(body)
        if opcode in (FSYNC, FLUSH, RELEASE, DESTROY):
            return b""
        return errno.ENOSYS

    def write(self, body):
        _, offset, size = WRITE_IN.unpack_from(body)[:3]
        if self.meets_fault(offset, size):
            if self.mode != "drop_writes":
                return errno.EIO
        else:
            data = memoryview(body)[WRITE_IN.size:WRITE_IN.size + size]
            if os.pwrite(self.file, data, offset) != size:
                return errno.EIO
        return struct.pack("<II", size, 0)


def mount(libc, device, target):
    options = "fd=%d,rootmode=%o,user_id=0,group_id=0,max_read=%d" % (device, S_IFREG, IO_SIZE_MAX)
    if libc.mount(b"weir-test", target.encode(), b"fuse", 2 | 4, options.encode()) != 0:
        code = ctypes.get_errno()
        sys.exit("mount -t fuse: %s" % os.strerror(code))


def serve_one(device, disk):
    """Answers one request of the kernel; False when it has unmounted."""
    try:
        request = os.read(device, IO_SIZE_MAX + 4096)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return False
        if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
            return True
        raise
    _, opcode, unique = IN_HEADER.unpack_from(request)[:3]
    if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
        return True
    answer = disk.handle(opcode, request[IN_HEADER.size:])
    code, data = (-answer, b"") if isinstance(answer, int) else (0, answer)
    try:
        os.write(device, OUT_HEADER.pack(OUT_HEADER.size + len(data), code, unique) + data)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    return True


def main():
    disk = Disk(sys.argv[1])
    target = sys.argv[2]
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    mount(libc, device, target)
    waiting = select.poll()
    waiting.register(device, select.POLLIN)
    waiting.register(sys.stdin.fileno(), select.POLLIN)
    print(json.dumps({"mounted": True}), flush=True)
    is_mounted = True
    while is_mounted:
        for number, _ in waiting.poll():
            if number == device:
                is_mounted = serve_one(device, disk)
                continue
            line = sys.stdin.buffer.raw.readline()
            if not line:
                libc.umount2(target.encode(), MNT_DETACH)
                return
            print(json.dumps(disk.command(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
