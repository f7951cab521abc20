"""Peers that survive the loss of disks, and Varve: each over SHELVES disks, which are directories,
files or loop devices of the one filesystem below.

What they can do besides is methods that others lack: snapshot, rollback, lose, rebuild, scrub. Times
are seconds, rates MB/s.
"""

import os
import re
import signal
import subprocess
import time

from peers import (SHELVES, Bindfs, Mergerfs, Null, Peer, Plain, Unavailable, drop_caches,
                   is_mounted, need, remove_left, run, timed, wait_for)


class Btrfs(Peer):
    profile = ""
    raw_per_data = 0.0

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
        used = self._used("Data")
        return used / timed(lambda: run("btrfs", "scrub", "start", "-B", self.root)) / 1e6

    def raw_bytes(self):
        """What it says itself: its images never shrink, so what it frees and uses again would cost
        nothing."""
        return self._used("Data") * self.raw_per_data + self._used("Metadata|System") * 3

    def _used(self, kinds):
        said = run("btrfs", "filesystem", "df", "-b", self.root)
        return sum(int(used) for used in
                   re.findall(rf"^(?:{kinds}),.*used=(\d+)", said, re.MULTILINE))


class BtrfsRaid6(Btrfs):
    name = "btrfs-raid6"
    about = "the kernel's parity and snapshots (compress=lzo)"
    profile = "raid6"
    raw_per_data = SHELVES / (SHELVES - 2)


class BtrfsRaid1c3(Btrfs):
    name = "btrfs-raid1c3"
    about = "the kernel's three copies (compress=lzo)"
    profile = "raid1c3"
    raw_per_data = 3.0


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
        self._delete()
        self.lost = []
        self.host = run("hostname").strip()
        self.bricks = [self.work / f"brick{shelf}" for shelf in range(SHELVES)]
        for brick in self.bricks:
            brick.mkdir()
        self._gluster("create", self.volume, "disperse", "6", "redundancy", "2",
                      *map(self._address, self.bricks), "force")
        self._gluster("start", self.volume)
        run("mount", "-t", "glusterfs", self._address(f"/{self.volume}"), self.root)
        self._look_for_daemons()

    def _look_for_daemons(self):
        self.pids = [int(pid) for pid in
                     run("pgrep", "-f", f"glusterfs.*{self.volume}").split()]

    def _address(self, path):
        return f"{self.host}:{path}"

    def _gluster(self, *words):
        return run("gluster", "--mode=script", "volume", *words)

    def lose(self):
        """The server of the last brick that is there ends."""
        brick = self.bricks[SHELVES - 1 - len(self.lost)]
        for pid in map(int, run("pgrep", "-f", f"glusterfsd.*--brick-name {brick} ").split()):
            os.kill(pid, signal.SIGKILL)
            self.pids.remove(pid)
        self.lost.append(brick)
        time.sleep(2)

    def rebuild(self):
        begin = time.monotonic()
        for brick in self.lost:
            self._gluster("reset-brick", self.volume, self._address(brick), "start")
            brick.rename(brick.with_name(brick.name + ".gone"))
            brick.mkdir()
            self._gluster("reset-brick", self.volume, self._address(brick), self._address(brick),
                          "commit", "force")
        self._gluster("heal", self.volume, "full")
        wait_for(self._is_healed, "healing", 1800)
        seconds = time.monotonic() - begin
        self._look_for_daemons()  # taking a brick back has ended some and begun others
        return sum(map(self._data_bytes, self.lost)) / seconds / 1e6

    @staticmethod
    def _data_bytes(brick):
        return sum(os.lstat(file).st_blocks * 512 for top in brick.glob("[!.]*")
                   for file in (top, *top.rglob("*")))

    def _is_healed(self):
        """Healed is what has bytes enough and nothing waiting: at first nothing is known to wait."""
        time.sleep(1)
        sizes = [self._data_bytes(brick) for brick in self.bricks]
        if min(sizes) < 0.99 * max(sizes):
            return False
        said = self._gluster("heal", self.volume, "info", "summary")
        return not re.search(r"Total Number of entries: *[1-9]", said)

    def down(self):
        try:
            super().down()
        finally:
            if getattr(self, "daemon", None) is not None:
                self._end()

    def _end(self):
        try:
            self._delete()
        finally:
            os.killpg(self.daemon.pid, signal.SIGTERM)
            self.daemon.wait()

    def _delete(self):
        volume = ["gluster", "--mode=script", "volume"]
        remove_left(f"gluster's volume {self.volume}", [*volume, "info", self.volume],
                    [*volume, "stop", self.volume, "force"], [*volume, "delete", self.volume])


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
                                       stdin=subprocess.DEVNULL, start_new_session=True)
        wait_for(lambda: subprocess.run(["zpool", "list"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, check=False).returncode == 0,
                 "zfs-fuse")
        self._destroy()
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
        try:
            self._destroy()
        finally:
            self.daemon.terminate()
            self.daemon.wait()

    def _destroy(self):
        remove_left(f"the pool {self.pool}", ["zpool", "status", self.pool],
                    ["zpool", "destroy", "-f", self.pool])


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
