#!/usr/bin/env python3
"""A bank in SQLite, whose books must balance whatever dies in the middle.

usage: sqlite_bank.py create DATABASE JOURNAL-MODE
       sqlite_bank.py work DATABASE NAME SECONDS RECEIPTS [PRAGMA=VALUE...]
       sqlite_bank.py check DATABASE RECEIPTS...

work moves money between accounts, one transaction each, and after each commit adds its number to
RECEIPTS. check demands that the database is sound, that no money was made or lost, that every
transfer is there whole, and that every receipt's transfer is there.
"""
import os
import random
import sqlite3
import sys
import time

ACCOUNTS = 1000
OPENING = 1000


def connect(path, *pragmas):
    bank = sqlite3.connect(path, timeout=60, isolation_level=None)
    # With FULL a deleted rollback journal may come back after a power cut, and its commit is undone.
    bank.execute("PRAGMA synchronous=EXTRA")
    for pragma in pragmas:
        bank.execute(f"PRAGMA {pragma}").fetchall()
    return bank


def create(path, journal_mode):
    bank = connect(path)
    (mode,) = bank.execute(f"PRAGMA journal_mode={journal_mode}").fetchone()
    if mode != journal_mode:
        sys.exit(f"journal mode {journal_mode} was asked for, {mode} is what there is")
    bank.executescript("""
        CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note TEXT) STRICT;
        CREATE TABLE transfer(worker TEXT, number INTEGER, source INTEGER, target INTEGER,
                              amount INTEGER, PRIMARY KEY(worker, number)) STRICT;
        CREATE INDEX by_balance ON account(balance);
        """)
    bank.execute("BEGIN")
    bank.executemany("INSERT INTO account VALUES(?, ?, ?)",
                     ((number, OPENING, "x" * (number % 300)) for number in range(ACCOUNTS)))
    bank.execute("COMMIT")


def work(path, name, seconds, receipts, *pragmas):
    bank = connect(path, *pragmas)
    rng = random.Random(name)
    end = time.monotonic() + float(seconds)
    directory = os.path.dirname(os.path.abspath(path))
    (number,) = bank.execute("SELECT coalesce(max(number), 0) FROM transfer WHERE worker = ?",
                             (name,)).fetchone()
    with open(receipts, "a", buffering=1) as receipt:
        while time.monotonic() < end:
            number += 1
            source, target = rng.sample(range(ACCOUNTS), 2)
            amount = rng.randrange(1, 50)
            bank.execute("BEGIN IMMEDIATE")
            bank.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, source))
            bank.execute("UPDATE account SET balance = balance + ?, note = ? WHERE id = ?",
                         (amount, name * (number % 100), target))
            bank.execute("INSERT INTO transfer VALUES(?, ?, ?, ?, ?)",
                         (name, number, source, target, amount))
            bank.execute("COMMIT")
            # SQLite takes a directory that it cannot open for one that need not be synced, and says
            # that it has committed, though the filesystem died after the journal was removed. If the
            # directory can still be opened, it could be then.
            os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))
            receipt.write(f"{name} {number}\n")


def demand(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found!r}, where {expected!r} was expected")


def check(path, *receipts):
    bank = connect(path)
    for pragma in ("integrity_check", "foreign_key_check"):
        demand(pragma, bank.execute(f"PRAGMA {pragma}").fetchall(),
               [("ok",)] if pragma == "integrity_check" else [])
    (total,) = bank.execute("SELECT sum(balance) FROM account").fetchone()
    demand("all money", total, ACCOUNTS * OPENING)
    wrong = bank.execute("""
        SELECT id, balance, ? - (SELECT coalesce(sum(amount), 0) FROM transfer WHERE source = id)
                             + (SELECT coalesce(sum(amount), 0) FROM transfer WHERE target = id) AS due
        FROM account WHERE balance <> due LIMIT 3""", (OPENING,)).fetchall()
    demand("accounts that are not what was transferred", wrong, [])
    gaps = bank.execute("""SELECT worker, count(*), max(number) FROM transfer
                           GROUP BY worker HAVING count(*) <> max(number)""").fetchall()
    demand("workers with gaps", gaps, [])
    there = set(bank.execute("SELECT worker, number FROM transfer"))
    given = 0
    for file in receipts:
        with open(file) as lines:
            for line in lines:
                if not line.endswith("\n"):
                    continue  # killed while writing it
                name, number = line.split()
                given += 1
                if (name, int(number)) not in there:
                    sys.exit(f"transfer {number} of {name} was committed, and is not there")
    print(f"{len(there)} transfers, {given} of them with a receipt")


if __name__ == "__main__":
    {"create": create, "work": work, "check": check}[sys.argv[1]](*sys.argv[2:])
