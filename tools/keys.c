#include "tools/commands.h"

#include "runtime/base.h"

int command_keys(int argc, char **argv)
{
    fprintf(stderr, "weir %s: is not in this binary\n", argv[0]);
    (void)argc;
    return COMMAND_FAILED;
}
