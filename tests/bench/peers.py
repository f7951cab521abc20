"""The filesystems that are measured: how each is brought up, harmed, mended and taken away.

A peer is a context manager: inside `with`, `root` is a directory on it. Everything lies below one
work directory; what is mounted there is unmounted again, whatever happens. Peers that keep data on
several disks get SHELVES of them, directories or loop devices on the one filesystem below.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

SHELVES = 6
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Unavailable(Exception):
    """The peer cannot run here; the text says why and what would help."""


def timed(call):
    """Seconds that it takes."""
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def run(*command, allowed=(0,), **options):
    """Runs a command to its end; a failure shows what it said."""
    done = subprocess.run([str(part) for part in command], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode not in allowed:
        raise RuntimeError(f"{' '.join(map(str, command))} exited with {done.returncode}: "
                           f"{done.stdout.strip()[-2000:]}")
    return done.stdout


def need(program, package):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Unavailable(f"{program} is missing: apt-get install {package}")
    return path


def is_mounted(path):
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        return any(line.split()[4] == str(path) for line in mounts)


def wait_for(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not after {seconds} s")
        time.sleep(0.02)


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")


class Peer:
    """One filesystem. Subclasses say up() and down()."""

    name = ""
    about = ""

    def __init__(self, work, build):
        self.work = Path(work) / self.name
        self.build = Path(build)
        self.root = self.work / "mnt"
        self.pids = []  # whose processor time and memory are this filesystem's
        self.loops = []

    def __enter__(self):
        self.work.mkdir(parents=True)
        self.root.mkdir()
        try:
            self.up()
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(self, *_):
        self._clear()

    def _clear(self):
        try:
            self.down()
        finally:
            if is_mounted(self.root):
                subprocess.run(["umount", "-l", self.root], check=False)
            for loop in self.loops:
                subprocess.run(["losetup", "-d", loop], check=False)
            shutil.rmtree(self.work, ignore_errors=True)

    def up(self):
        raise NotImplementedError

    def down(self):
        if is_mounted(self.root):
            run("umount", self.root)

    def _spawn(self, command):
        """A daemon in the foreground that mounts on root."""
        log = open(self.work / "log", "ab")
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log)
        self.pids.append(process.pid)

        def ready():
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended: {(self.work / 'log').read_text()[-800:]}")
            return is_mounted(self.root)

        wait_for(ready, f"mounting {self.name}")
        return process

    def _end(self, process):
        if is_mounted(self.root):
            run("umount", self.root)
        if process is not None:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def _loop_devices(self, megabytes):
        for shelf in range(SHELVES):
            image = self.work / f"image{shelf}"
            with open(image, "wb") as file:
                file.truncate(megabytes << 20)
            loop = run("losetup", "--find", "--show", "--direct-io=on", image).strip()
            self.loops.append(loop)
        return self.loops

    def settle(self):
        """Waits until what has been written lies where it stays."""
        run("sync", "-f", self.root)

    def cpu_seconds(self):
        """Of the daemons, user and system; None when the kernel does the work."""
        if not self.pids:
            return None
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / CLOCK_TICKS

    def peak_bytes(self):
        if not self.pids:
            return None
        return sum(int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
                   for pid in self.pids) * 1024

    def raw_bytes(self):
        """Bytes taken from the disks below, redundancy and history included."""
        used = 0
        for folder, _, names in os.walk(self.work):
            if Path(folder) == self.root or self.root in Path(folder).parents:
                continue
            used += sum(os.lstat(os.path.join(folder, name)).st_blocks * 512 for name in names)
        return used


class Plain(Peer):
    name = "plain"
    about = "a directory of the filesystem below: the limit, without redundancy"

    def up(self):
        pass

    def down(self):
        pass


class Null(Peer):
    name = "null"
    about = "a FUSE filesystem that forgets all data: the limit of FUSE"

    def up(self):
        program = self.build / "tests/bench/varve_bench_null"
        if not program.exists():
            raise Unavailable("varve_bench_null was not built")
        self.process = self._spawn([program, self.root])

    def down(self):
        self._end(getattr(self, "process", None))


class Bindfs(Peer):
    name = "bindfs"
    about = "FUSE without redundancy"

    def up(self):
        source = self.work / "source"
        source.mkdir()
        self.process = self._spawn([need("bindfs", "bindfs"), "-f", source, self.root])

    def down(self):
        self._end(getattr(self, "process", None))


class Mergerfs(Peer):
    name = "mergerfs"
    about = "FUSE over several disks, without redundancy"

    def up(self):
        sources = [self.work / f"disk{shelf}" for shelf in range(SHELVES)]
        for source in sources:
            source.mkdir()
        self.process = self._spawn([need("mergerfs", "mergerfs"), "-f",
                                    ":".join(map(str, sources)), self.root])

    def down(self):
        self._end(getattr(self, "process", None))


class Btrfs(Peer):
    profile = ""

    def up(self):
        need("mkfs.btrfs", "btrfs-progs")
        self.lost = []
        devices = self._loop_devices(6144)
        run("mkfs.btrfs", "-q", "-f", "-d", self.profile, "-m", "raid1c3", *devices)
        run("btrfs", "device", "scan", *devices)
        run("mount", "-o", "compress=lzo", devices[0], self.root)

    def snapshot(self, name):
        return timed(lambda: run("btrfs", "subvolume", "snapshot", "-r", self.root,
                                 self.root / f".{name}"))

    def rollback(self, path, name):
        """Of a file only: a tree's means mounting another subvolume."""
        if (self.root / path).is_dir():
            return None
        return timed(lambda: run("cp", "--reflink=always", self.root / f".{name}" / path,
                                 self.root / path))

    def lose(self):
        """The last device is taken away while unmounted; btrfs goes on with -o degraded."""
        run("umount", self.root)
        loop = self.loops.pop()
        run("btrfs", "device", "scan", "--forget", loop)
        run("losetup", "-d", loop)
        self.lost.append(len(self.loops) + 1)  # btrfs numbers its devices from 1
        run("mount", "-o", "compress=lzo,degraded", self.loops[0], self.root)

    def rebuild(self):
        seconds = 0
        copied = 0
        for number in self.lost:
            image = self.work / f"spare{number}"
            with open(image, "wb") as file:
                file.truncate(6144 << 20)
            loop = run("losetup", "--find", "--show", "--direct-io=on", image).strip()
            self.loops.append(loop)
            seconds += timed(lambda: run("btrfs", "replace", "start", "-f", "-B", number, loop,
                                         self.root))
            copied += os.lstat(image).st_blocks * 512
        return copied / seconds / 1e6

    def scrub(self):
        used = self._used()
        return used / timed(lambda: run("btrfs", "scrub", "start", "-B", self.root)) / 1e6

    def _used(self):
        said = run("btrfs", "filesystem", "df", "-b", self.root)
        return sum(int(used) for used in re.findall(r"^Data.*used=(\d+)", said, re.MULTILINE))


class BtrfsRaid6(Btrfs):
    name = "btrfs-raid6"
    about = "the kernel's parity and snapshots (compress=lzo)"
    profile = "raid6"


class BtrfsRaid1c3(Btrfs):
    name = "btrfs-raid1c3"
    about = "the kernel's three copies (compress=lzo)"
    profile = "raid1c3"


class Gluster(Peer):
    name = "gluster"
    about = "GlusterFS disperse 4+2 on one host: the direct rival"
    volume = "varvebench"

    def up(self):
        need("glusterd", "glusterfs-server")
        need("gluster", "glusterfs-cli")
        state = self.work / "state"
        state.mkdir()
        self.daemon = None
        if subprocess.run(["pgrep", "-x", "glusterd"], stdout=subprocess.DEVNULL,
                          check=False).returncode == 0:
            raise Unavailable("a glusterd runs already, and it is not ours to use")
        log = open(self.work / "glusterd.log", "ab")
        self.daemon = subprocess.Popen(["glusterd", "--no-daemon"], stdout=log, stderr=log,
                                       stdin=subprocess.DEVNULL, start_new_session=True)
        wait_for(lambda: subprocess.run(["gluster", "volume", "info"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, check=False).returncode == 0,
                 "glusterd", 60)
        bricks = []
        host = run("hostname").strip()
        for shelf in range(SHELVES):
            brick = self.work / f"brick{shelf}"
            brick.mkdir()
            bricks.append(f"{host}:{brick}")
        self._gluster("volume", "create", self.volume, "disperse", "6", "redundancy", "2", *bricks,
                      "force")
        self._gluster("volume", "start", self.volume)
        run("mount", "-t", "glusterfs", f"{host}:/{self.volume}", self.root)
        self.pids = [int(pid) for pid in
                     run("pgrep", "-f", f"glusterfs.*{self.volume}").split()]

    def _gluster(self, *words):
        return run("gluster", "--mode=script", *words)

    def down(self):
        super().down()
        if getattr(self, "daemon", None) is None:
            return
        for words in (("volume", "stop", self.volume, "force"), ("volume", "delete", self.volume)):
            subprocess.run(["gluster", "--mode=script", *words], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.killpg(self.daemon.pid, signal.SIGTERM)
        self.daemon.wait()


class ZfsFuse(Peer):
    name = "zfs-fuse"
    about = "ZFS raidz2 in user space"
    pool = "varvebench"

    def up(self):
        need("zfs-fuse", "zfs-fuse")
        self.daemon = None
        if subprocess.run(["pgrep", "-x", "zfs-fuse"], stdout=subprocess.DEVNULL,
                          check=False).returncode == 0:
            raise Unavailable("a zfs-fuse runs already, and it is not ours to use")
        images = []
        for shelf in range(SHELVES):
            image = self.work / f"image{shelf}"
            with open(image, "wb") as file:
                file.truncate(6144 << 20)
            images.append(image)
        log = open(self.work / "log", "ab")
        self.daemon = subprocess.Popen(["zfs-fuse", "--no-daemon"], stdout=log, stderr=log,
                                       stdin=subprocess.DEVNULL)
        wait_for(lambda: subprocess.run(["zpool", "list"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, check=False).returncode == 0,
                 "zfs-fuse")
        run("zpool", "create", "-f", "-m", self.root, self.pool, "raidz2", *images)
        run("zfs", "set", "compression=on", self.pool)
        self.pids = [self.daemon.pid]
        self.images = images
        self.lost = []

    def snapshot(self, name):
        return timed(lambda: run("zfs", "snapshot", f"{self.pool}@{name}"))

    def lose(self):
        image = self.images[SHELVES - 1 - len(self.lost)]
        run("zpool", "offline", self.pool, image)
        self.lost.append(image)

    def rebuild(self):
        seconds = 0
        copied = 0
        for image in self.lost:
            spare = image.with_name(image.name + ".spare")
            with open(spare, "wb") as file:
                file.truncate(6144 << 20)
            begin = time.monotonic()
            run("zpool", "replace", "-f", self.pool, image, spare)
            self._wait("resilver in progress")
            seconds += time.monotonic() - begin
            copied += os.lstat(spare).st_blocks * 512
        return copied / seconds / 1e6

    def scrub(self):
        data = int(run("zfs", "get", "-Hp", "-o", "value", "used", self.pool))
        begin = time.monotonic()
        run("zpool", "scrub", self.pool)
        self._wait("scrub in progress")
        return data / (time.monotonic() - begin) / 1e6

    def _wait(self, words):
        wait_for(lambda: words not in run("zpool", "status", self.pool), words, 1800)

    def down(self):
        if getattr(self, "daemon", None) is None:
            return
        subprocess.run(["zpool", "destroy", "-f", self.pool], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.daemon.terminate()
        self.daemon.wait()


class Varve(Peer):
    name = "varve"
    about = "4+2 over six directories, history on, compression on"
    options = ()

    def up(self):
        self.lost = []
        self.varve = self.build / "varve"
        self.disks = [self.work / f"disk{shelf}" for shelf in range(SHELVES)]
        run(self.varve, "mkfs", "--data", SHELVES - 2, "--parity", 2, *self.disks)
        self.mount()

    def mount(self):
        words = [word for option in self.options for word in ("-o", option)]
        run(self.varve, "mount", *words, self.disks[0], self.root)
        self.pids = [int(pid) for pid in
                     run("pgrep", "-f", f"{self.varve} mount.*{self.root}").split()]

    def down(self):
        if is_mounted(self.root):
            run(self.varve, "umount", self.root)

    def snapshot(self, name):
        return timed(lambda: run(self.varve, "snapshot", "create", "--on", self.root, name))

    def rollback(self, path, name):
        return timed(lambda: run(self.varve, "rollback", "--to", name, self.root / path))

    def lose(self):
        """The last disk that is there goes away under the running filesystem."""
        disk = self.disks[SHELVES - 1 - len(self.lost)]
        disk.rename(disk.with_name(disk.name + ".gone"))
        self.lost.append(disk)
        time.sleep(2)  # it is noticed within a second

    def rebuild(self):
        self.down()
        spares = []
        for disk in self.lost:
            spare = disk.with_name(disk.name + ".spare")
            spare.mkdir()
            spares.append((disk, spare))
        words = [word for disk, spare in spares for word in ("--replace", f"{disk}={spare}")]
        seconds = timed(lambda: run(self.varve, "fsck", "-y", *words, self.disks[0],
                                    allowed=(0, 1)))
        copied = sum(os.lstat(file).st_blocks * 512 for _, spare in spares
                     for file in spare.rglob("*"))
        self.mount()
        return copied / seconds / 1e6

    def scrub(self):
        """Of all data: every fragment read and verified."""
        self.down()
        data = self.raw_bytes() * (SHELVES - 2) / SHELVES
        drop_caches()
        seconds = timed(lambda: run(self.varve, "fsck", "-n", self.disks[0]))
        self.mount()
        return data / seconds / 1e6

    def settle(self):
        time.sleep(3)  # the commit interval, and the catalog's fold


class VarveWriteback(Varve):
    name = "varve-writeback"
    about = "the same with -o writeback"
    options = ("writeback",)


ALL = [Plain, Null, Varve, VarveWriteback, Bindfs, Mergerfs, BtrfsRaid6, BtrfsRaid1c3, ZfsFuse,
       Gluster]
