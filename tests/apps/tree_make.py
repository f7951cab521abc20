#!/usr/bin/env python3
"""Makes a tree with all that a tree can have in it; the same one for the same arguments.

usage: tree_make.py FOLDER ENTRIES [what this filesystem and user can do: acl trusted devices]
"""
import os
import random
import socket
import stat
import subprocess
import sys

YEAR_2000_NS = 946_684_800_000_000_000
ODD_NAMES = [
    b"with space", b" leading", b"trailing ", b"new\nline", b"tab\there", b"'quoted'", b'"double"',
    b"back\\slash", b"star*", b"que?stion", b"-rf", b"--help", b"~", b"$HOME", b"a;b", b"#hash",
    b"\xff\xfe not UTF-8 \x80", "h\u00e9llo w\u00f6rld".encode(), "\u6f22\u5b57".encode(),
    b"..hidden", b"...", b"\x01\x02\x7f", b"n" * 255, b"CON", b"colon:name", b"percent%41",
]


class Maker:
    def __init__(self, folder, entries, abilities):
        self.random = random.Random(entries)
        self.folder = os.fsencode(folder)
        self.entries = entries
        self.abilities = abilities
        self.made = 0
        self.folders = [self.folder]
        self.files = []

    def name(self, stem):
        self.made += 1
        return os.path.join(self.random.choice(self.folders[-200:]), b"%s%06d" % (stem, self.made))

    def contents(self):
        kind = self.random.random()
        size = int(self.random.paretovariate(0.9) * 400) % 200_000
        if kind < 0.05:
            size = 0
        if kind < 0.5:
            line = b"%d int main(void) { return %d; }\n" % (self.made, self.made)
            return line * (size // len(line) + 1)
        return self.random.randbytes(size)

    def file(self):
        path = self.name(b"file")
        with open(path, "wb") as file:
            file.write(self.contents())
        os.chmod(path, self.random.choice([0o644, 0o600, 0o755, 0o400, 0o000, 0o666]))
        self.files.append(path)

    def directory(self):
        parent = self.random.choice(self.folders[-200:])
        self.made += 1
        path = os.path.join(parent, b"dir%06d" % self.made)
        if len(path) > 2000:
            path = os.path.join(self.folder, b"dir%06d" % self.made)
        os.mkdir(path)
        os.chmod(path, self.random.choice([0o755, 0o700, 0o750, 0o1777]))
        self.folders.append(path)

    def symlink(self):
        target = self.random.choice([
            b"nowhere", b"../..", b"/etc/hostname", b"x" * 1000, b"with space/\xff",
            self.random.choice(self.files) if self.files else b"file"])
        os.symlink(target, self.name(b"link"))

    def hard_link(self):
        if not self.files:
            return self.file()
        source = self.random.choice(self.files)
        os.link(source, self.name(b"hard"))

    def fill(self):
        while self.made < self.entries:
            kind = self.random.random()
            if kind < 0.08:
                self.directory()
            elif kind < 0.12:
                self.symlink()
            elif kind < 0.16:
                self.hard_link()
            else:
                self.file()

    def special(self):
        """A folder of one of each thing that is easily forgotten."""
        self.folders = [os.path.join(self.folder, b"special")]
        os.mkdir(self.folders[0])
        here = self.folders[0]
        os.mkdir(os.path.join(here, b"odd names"))
        for name in ODD_NAMES:
            with open(os.path.join(here, b"odd names", name), "wb") as file:
                file.write(name)
        self.sparse(here)
        self.deep(here)
        os.mkdir(os.path.join(here, b"empty"))
        os.mkfifo(os.path.join(here, b"fifo"), 0o640)
        self.socket(here)
        if b"devices" in self.abilities:
            os.mknod(os.path.join(here, b"null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
            os.mknod(os.path.join(here, b"disk"), stat.S_IFBLK | 0o600, os.makedev(8, 17))
            self.owned(here)
        self.xattrs(here)
        if b"acl" in self.abilities:
            self.acls(here)
        self.set_ids(here)

    @staticmethod
    def socket(here):
        back = os.open(".", os.O_RDONLY)
        os.chdir(here)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
        os.fchdir(back)
        os.close(back)

    def sparse(self, here):
        large = 1 << 30 if self.entries > 10_000 else 64 << 20
        with open(os.path.join(here, b"sparse begin"), "wb") as file:
            file.write(b"begin")
            file.truncate(large // 4)
        with open(os.path.join(here, b"sparse end"), "wb") as file:
            file.seek(large)
            file.write(b"end")
        with open(os.path.join(here, b"sparse middle"), "wb") as file:
            for at in (0, 1 << 20, 3 << 20, (7 << 20) + 4096):
                file.seek(at)
                file.write(b"data" * 2048)
        with open(os.path.join(here, b"only a hole"), "wb") as file:
            file.truncate(large // 2 + 123)

    @staticmethod
    def deep(here):
        path = here
        for level in range(100):
            path = os.path.join(path, b"deep%02d" % level)
            os.mkdir(path)
        with open(os.path.join(path, b"bottom"), "wb") as file:
            file.write(b"found")

    def owned(self, here):
        for number, (user, group) in enumerate([(1, 1), (1000, 100), (65534, 65534), (4_000_000_000, 7)]):
            path = os.path.join(here, b"owned%d" % number)
            with open(path, "wb") as file:
                file.write(b"owned")
            os.chown(path, user, group)
        os.symlink(b"owned0", os.path.join(here, b"owned link"))
        os.lchown(os.path.join(here, b"owned link"), 33, 33)

    def xattrs(self, here):
        path = os.path.join(here, b"attributed")
        with open(path, "wb") as file:
            file.write(b"attributed")
        os.setxattr(path, "user.empty", b"")
        os.setxattr(path, "user.binary", bytes(range(256)))
        os.setxattr(path, "user.long", b"v" * 2000)
        os.setxattr(path, "user." + "n" * 200, b"long name")
        os.mkdir(os.path.join(here, b"attributed folder"))
        os.setxattr(os.path.join(here, b"attributed folder"), "user.folder", b"yes")
        if b"trusted" in self.abilities:
            os.setxattr(path, "trusted.mine", b"root's")
            # cap_net_raw=ep, as setcap(8) writes it
            capable = os.path.join(here, b"capable")
            with open(capable, "wb") as file:
                file.write(b"capable")
            os.setxattr(capable, "security.capability",
                        bytes.fromhex("0100000200200000000000000000000000000000"))
        for number, file in enumerate(self.files[::50]):
            if os.access(file, os.W_OK):
                os.setxattr(file, "user.number", b"%d" % number)

    @staticmethod
    def acls(here):
        path = os.path.join(here, b"shared")
        os.mkdir(path)
        subprocess.run([b"setfacl", b"-m", b"u:1000:rwx,g:100:r-x,d:u:1000:rwx,d:g:7:r--", path], check=True)
        with open(os.path.join(path, b"inherits"), "wb") as file:
            file.write(b"inherits")
        with open(os.path.join(path, b"more"), "wb") as file:
            file.write(b"more")
        subprocess.run([b"setfacl", b"-m", b"u:33:rw,g:1:-,m::r", os.path.join(path, b"more")], check=True)

    @staticmethod
    def set_ids(here):
        path = os.path.join(here, b"set ids")
        os.mkdir(path)
        for name, mode in ((b"suid", 0o4755), (b"sgid", 0o2755), (b"both", 0o6711), (b"sticky", 0o1644)):
            with open(os.path.join(path, name), "wb") as file:
                file.write(name)
            os.chmod(os.path.join(path, name), mode)
        os.mkdir(os.path.join(path, b"sgid folder"))
        os.chmod(os.path.join(path, b"sgid folder"), 0o2775)

    def times(self):
        """Times last, and folders after what is in them: each entry its own nanosecond."""
        number = 0
        for folder, folders, files in os.walk(self.folder, topdown=False):
            for name in sorted(files) + sorted(folders):
                number += 1
                when = YEAR_2000_NS + number * 86_400_123_456_789 % 700_000_000_000_000_000
                if number % 97 == 0:
                    when = -when  # before 1970
                os.utime(os.path.join(folder, name), ns=(when, when), follow_symlinks=False)
        os.utime(self.folder, ns=(YEAR_2000_NS, YEAR_2000_NS))


def main():
    os.umask(0o022)
    maker = Maker(sys.argv[1], int(sys.argv[2]), [os.fsencode(word) for word in sys.argv[3:]])
    os.mkdir(maker.folder)
    maker.fill()
    maker.special()
    maker.times()


main()
