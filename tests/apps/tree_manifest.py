#!/usr/bin/env python3
"""Prints a line for everything in a tree, with all that can be seen of it, sorted by name.

usage: tree_manifest.py [--past] FOLDER
  --past  without what .snapshots takes away: set-user-id, set-group-id and file capabilities

Two trees are identical if their manifests are. Hard links are told by the first of their names.
"""
import hashlib
import os
import stat
import sys


def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def attributes(path):
    found = []
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if name == "security.capability" and past:
            continue
        value = os.getxattr(path, name, follow_symlinks=False)
        found.append(f"{name}={value.hex()}")
    return " ".join(found)


def describe(path, name, first_names):
    info = os.lstat(path)
    mode = info.st_mode & ~0o6000 if past else info.st_mode
    kind = stat.filemode(mode)
    words = [repr(name), kind, info.st_uid, info.st_gid, info.st_mtime_ns]
    if stat.S_ISREG(mode):
        words += [info.st_size, digest(path)]
    elif stat.S_ISLNK(mode):
        words += [info.st_size, repr(os.readlink(path))]
    elif stat.S_ISDIR(mode):
        words += ["links", info.st_nlink]
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        words += [os.major(info.st_rdev), os.minor(info.st_rdev)]
    if not stat.S_ISDIR(mode):
        first = first_names.setdefault((info.st_dev, info.st_ino), name)
        words += ["links", info.st_nlink, repr(first)]
    words.append(attributes(path))
    return " ".join(map(str, words))


past = sys.argv[1] == "--past"
top = os.fsencode(sys.argv[-1])
names = []
for folder, folders, files in os.walk(top, onerror=lambda error: sys.exit(str(error))):
    names.append(folder)
    names += [os.path.join(folder, name) for name in files]
    names += [os.path.join(folder, name) for name in folders
              if os.path.islink(os.path.join(folder, name))]
first_names = {}
for path in sorted(names):
    print(describe(path, path[len(top):] or b"/", first_names))
