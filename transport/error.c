#include "transport/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char error_text[ERROR_TEXT_BYTES];

int ewi_fail(int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error_text, sizeof(error_text), format, arguments);
    va_end(arguments);
    return code;
}

int ewi_fail_os(int negative_errno, const char *format, ...)
{
    va_list arguments;
    size_t length;

    va_start(arguments, format);
    vsnprintf(error_text, sizeof(error_text), format, arguments);
    va_end(arguments);
    length = strlen(error_text);
    snprintf(error_text + length, sizeof(error_text) - length, ": %s", strerror(-negative_errno));
    return negative_errno;
}

const char *ewi_error_text(void)
{
    return error_text;
}

const char *ewi_error_name(int code)
{
    static const char *const names[] = {
        "EW_EAGAIN",   "EW_ETIMEOUT",     "EW_EINTR",   "EW_ECLOSED",   "EW_EEND",
        "EW_ELOST",    "EW_EPROTO",       "EW_ETOOBIG", "EW_EINVAL",    "EW_ENOTFOUND",
        "EW_EUNREACHABLE", "EW_EACCESS",  "EW_EVERSION", "EW_EAPPLICATION", "EW_EFULL",
        "EW_EDRAINING", "EW_EMEMORY",     "EW_EFORKED", "EW_EINUSE",    "EW_EBUG"};
    const int count = (int)(sizeof(names) / sizeof(names[0]));
    const char *name;

    if (code == EW_OK)
        return "EW_OK";
    if (code <= EW_EAGAIN && code > EW_EAGAIN - count)
        return names[EW_EAGAIN - code];
    name = code < 0 ? strerrorname_np(-code) : NULL;
    return name != NULL ? name : "?";
}
