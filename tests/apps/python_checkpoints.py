#!/usr/bin/env python3
"""A training run that saves its checkpoints as one should: new file, fsync, rename over the old.

usage: python_checkpoints.py save FOLDER STEPS PARAMETERS RECORD
       python_checkpoints.py verify MOUNTED-FOLDER RECORD

save writes for each step a line "STEP SHA256 WHEN" to RECORD, while a second process keeps opening
the checkpoint and demands that it is whole, and never older than one it has seen. verify finds every
one of these files again: by its time, and among the file's versions.
"""
import datetime
import hashlib
import multiprocessing
import os
import sys
import time
import zipfile

import numpy

NAME = "model.npz"


def parameters(step, count):
    rng = numpy.random.default_rng(step)
    return {"step": numpy.array(step), "weights": rng.standard_normal(count).astype(numpy.float32),
            "moments": numpy.full(count, 1.0 / (step + 1), dtype=numpy.float32)}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def sync_directory(folder):
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(handle)
    os.close(handle)


def save_step(folder, step, count):
    """Like torch.save: a zip of raw arrays, then made the checkpoint at one stroke."""
    temporary = os.path.join(folder, f"{NAME}.{step}.tmp")
    with open(temporary, "wb") as file:
        numpy.savez(file, **parameters(step, count))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, os.path.join(folder, NAME))
    sync_directory(folder)


def watch(folder, count, done, seen):
    """The reader beside: an evaluation job, say."""
    newest = -1
    while not done.is_set():
        try:
            with numpy.load(os.path.join(folder, NAME)) as checkpoint:
                step = int(checkpoint["step"])
                expected = parameters(step, count)
                for name, values in expected.items():
                    if not numpy.array_equal(checkpoint[name], values):
                        sys.exit(f"checkpoints: {name} of step {step} is not what was saved")
        except FileNotFoundError:
            if newest >= 0:
                sys.exit("checkpoints: the checkpoint is gone while it is replaced")
            continue
        except zipfile.BadZipFile as error:
            sys.exit(f"checkpoints: a torn checkpoint is seen: {error}")
        if step < newest:
            sys.exit(f"checkpoints: step {step} is seen after step {newest}")
        newest = step
        seen.value += 1


def save(folder, steps, count, record):
    os.makedirs(folder)
    done, seen = multiprocessing.Event(), multiprocessing.Value("i", 0)
    watcher = multiprocessing.Process(target=watch, args=(folder, count, done, seen))
    watcher.start()
    with open(record, "w") as lines:
        for step in range(steps):
            save_step(folder, step, count)
            time.sleep(0.01)
            when = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            lines.write(f"{step} {digest(os.path.join(folder, NAME))} {when}\n")
            time.sleep(0.01)
    done.set()
    watcher.join()
    if watcher.exitcode != 0:
        sys.exit("checkpoints: the reader beside failed")
    if seen.value == 0:
        sys.exit("checkpoints: the reader beside has seen nothing")
    print(f"{steps} checkpoints saved, {seen.value} looked at meanwhile")


def verify(folder, record):
    lines = [line.split() for line in open(record)]
    for step, expected, when in lines:
        path = os.path.join(folder, ".snapshots", when, NAME)
        if digest(path) != expected:
            sys.exit(f"checkpoints: step {step} is another at {when}")
        with numpy.load(path) as checkpoint:
            if int(checkpoint["step"]) != int(step):
                sys.exit(f"checkpoints: {when} shows step {checkpoint['step']}, not {step}")
    versions = os.path.join(folder, ".snapshots", "versions", NAME)
    found = [digest(os.path.join(versions, name)) for name in sorted(os.listdir(versions))]
    missing = [step for step, expected, _ in lines if expected not in found]
    if missing:
        sys.exit(f"checkpoints: versions/{NAME} lacks the steps {' '.join(missing)}")
    if [sha for sha in found] != [expected for _, expected, _ in lines]:
        sys.exit(f"checkpoints: versions/{NAME} lists {len(found)} files for {len(lines)} steps")
    print(f"{len(lines)} checkpoints found by their times and among {len(found)} versions")


def main():
    if sys.argv[1] == "save":
        save(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        verify(sys.argv[2], sys.argv[3])


if __name__ == "__main__":
    main()
