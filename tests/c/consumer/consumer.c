/* A program of somebody else: it sees the installed header and library, and nothing of the tree. */
#include <eastwest/eastwest.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    if (strcmp(ew_error_name(EW_EAGAIN), "EW_EAGAIN") != 0)
        return 1;
    printf("%s\n", ew_version());
    return 0;
}
