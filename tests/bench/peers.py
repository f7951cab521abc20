"""The filesystems that are measured: how each is brought up, harmed, mended and taken away.

A peer is a context manager: inside `with`, `root` is a directory on it. Everything lies below one
work directory; what is mounted there is unmounted again, whatever happens. Those with
redundancy are in redundant_peers.py.
"""

import os
import re
import shutil
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


# A directory of that name holds all that a bench makes; `remove_left` knows its own by it.
WORK_PREFIX = "varve-bench-"


def remove_left(name, show, *removals):
    """Removes what a bench has made under this name, this one or one that was killed: what `show`
    shows to lie in a bench's directory. What is there and lies elsewhere is not ours: Unavailable."""
    shown = subprocess.run(show, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           check=False)
    if shown.returncode != 0:
        return
    if f"/{WORK_PREFIX}" not in shown.stdout:
        raise Unavailable(f"{name} is there, and it is not ours to use")
    for removal in removals:
        subprocess.run(removal, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


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
        kilobytes = 0
        for pid in self.pids:
            said = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
            if said is None:
                raise RuntimeError(f"process {pid} of {self.name} has ended")
            kilobytes += int(said[1])
        return kilobytes * 1024

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


class Foreground(Peer):
    """A daemon that stays in the foreground and mounts on root. Subclasses say command()."""

    process = None

    def command(self):
        raise NotImplementedError

    def up(self):
        log = open(self.work / "log", "ab")
        self.process = subprocess.Popen([str(part) for part in self.command()], stdout=log,
                                        stderr=log, stdin=subprocess.DEVNULL,
                                        start_new_session=True)
        self.pids = [self.process.pid]

        def ready():
            if self.process.poll() is not None:
                said = (self.work / "log").read_text()[-800:]
                raise RuntimeError(f"{self.name} ended: {said}")
            return is_mounted(self.root)

        wait_for(ready, f"mounting {self.name}")

    def down(self):
        super().down()
        if self.process is None:
            return
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Null(Foreground):
    name = "null"
    about = "a FUSE filesystem that forgets all data: the limit of FUSE"

    def command(self):
        program = self.build / "tests/bench/varve_bench_null"
        if not program.exists():
            raise Unavailable("varve_bench_null was not built")
        return [program, self.root]


class Bindfs(Foreground):
    name = "bindfs"
    about = "FUSE without redundancy"

    def command(self):
        source = self.work / "source"
        source.mkdir()
        return [need("bindfs", "bindfs"), "-f", source, self.root]


class Mergerfs(Foreground):
    name = "mergerfs"
    about = "FUSE over several disks, without redundancy"

    def command(self):
        sources = [self.work / f"disk{shelf}" for shelf in range(SHELVES)]
        for source in sources:
            source.mkdir()
        return [need("mergerfs", "mergerfs"), "-f", ":".join(map(str, sources)), self.root]
