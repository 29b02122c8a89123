#include "actors/app_failure.h"

#include <errno.h>
#include <stdarg.h>

int app_fail(char *text, int *ret_exit_code, enum app_exit exit_code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, APP_TEXT_SIZE, format, arguments);
    va_end(arguments);
    *ret_exit_code = (int)exit_code;
    return -ECANCELED;
}
