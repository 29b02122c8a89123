#!/usr/bin/env python3
"""Embed: writes the SQL files that it is given into one C file, in the order of their names."""
import os
import sys


def main():
    output, *paths = sys.argv[1:]
    paths.sort(key=os.path.basename)
    with open(output, "w", encoding="ascii") as out:
        out.write('#include "store/migrations.h"\n\n')
        for number, path in enumerate(paths):
            with open(path, "rb") as text:
                data = text.read() + b"\0"
            # Bytes and no string: a compiler need not take one of this length.
            out.write("static const char sql_%d[] = {\n" % number)
            for start in range(0, len(data), 20):
                out.write("    %s,\n" % ", ".join(str(byte) for byte in data[start:start + 20]))
            out.write("};\n\n")
        out.write("const struct migration MIGRATIONS[] = {\n")
        for number, path in enumerate(paths):
            out.write('    {.name = "%s", .sql = sql_%d},\n' % (os.path.basename(path), number))
        out.write("};\n\nconst uint32_t MIGRATION_COUNT = %d;\n" % len(paths))


main()
