#!/usr/bin/env python3
"""Writes a C project with a makefile: a library of many modules in folders, and a program.

usage: c_project.py FOLDER MODULES

Each module includes two headers of its own folder and one of another; so after a change of one
header make(1) must compile exactly those that include it: the file "needs"
in FOLDER has a line "HEADER: SOURCE..." for each.
"""
import os
import sys

MAKEFILE = """\
CC = gcc
CFLAGS = -O1 -g0 -Wall -Werror -Iinclude -MMD -MP
sources := $(sort $(wildcard src/*/*.c))
objects := $(sources:src/%.c=out/%.o)

all: program
program: out/main.o libmodules.a
\t$(CC) -o $@ $^
libmodules.a: $(objects)
\trm -f $@
\tar rcsD $@ $(objects)
out/%.o: src/%.c
\t@mkdir -p $(@D)
\t$(CC) $(CFLAGS) -c -o $@ $<
out/main.o: main.c
\t@mkdir -p $(@D)
\t$(CC) $(CFLAGS) -c -o $@ $<
clean:
\trm -rf out program libmodules.a
-include $(objects:.o=.d) out/main.d
.PHONY: all clean
"""


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def main():
    top, modules = sys.argv[1], int(sys.argv[2])
    needs = {}
    for number in range(modules):
        folder = f"part{number % 16:02d}"
        header = f"include/{folder}/module{number:04d}.h"
        others = [max(number - 16, number % 16), (number * 7 + 3) % modules]
        included = sorted({number, *others})
        source = f"src/{folder}/module{number:04d}.c"
        lines = [f'#include "part{other % 16:02d}/module{other:04d}.h"' for other in included]
        lines += ["", f"unsigned module{number:04d}(unsigned depth) {{",
                  f"  unsigned sum = MODULE{number:04d} ^ depth;"]
        for other in others:
            lines.append(f"  if (depth > 0) sum = sum * 31 + module{other:04d}(depth - 1);")
        lines += [f"  for (unsigned i = 0; i < {number % 9 + 1}; i++) sum = (sum << 5) ^ (sum >> 3) ^ i;",
                  "  return sum;", "}", ""]
        write(os.path.join(top, source), "\n".join(lines))
        write(os.path.join(top, header),
              f"#pragma once\n#define MODULE{number:04d} {number * 2654435761 % 4294967296}u\n"
              f"unsigned module{number:04d}(unsigned depth);\n")
        for other in included:
            needs.setdefault(f"include/part{other % 16:02d}/module{other:04d}.h", []).append(source)
    calls = "".join(f'  printf("%u\\n", module{number:04d}(6));\n' for number in range(modules))
    includes = "".join(f'#include "part{number % 16:02d}/module{number:04d}.h"\n' for number in range(modules))
    write(os.path.join(top, "main.c"), f"#include <stdio.h>\n{includes}int main(void) {{\n{calls}  return 0;\n}}\n")
    write(os.path.join(top, "Makefile"), MAKEFILE)
    write(os.path.join(top, "needs"), "".join(
        f"{header}: {' '.join(sorted(sources))}\n" for header, sources in sorted(needs.items())))


main()
