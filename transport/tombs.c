#include "transport/tombs.h"

#include <stdlib.h>
#include <string.h>

void ewi_tombs_add(struct tombs *tombs, const struct tomb *tomb)
{
    if (tombs->places == NULL)
        tombs->places = calloc(TOMBS_MAX, sizeof(*tombs->places));
    if (tombs->places == NULL)
        return;
    tombs->places[tombs->next] = *tomb;
    tombs->next = (tombs->next + 1) % TOMBS_MAX;
    if (tombs->count < TOMBS_MAX)
        tombs->count += 1;
}

const struct tomb *ewi_tombs_find(const struct tombs *tombs, const uint8_t channel[16],
                                  uint64_t now_ns)
{
    for (uint32_t i = 0; i < tombs->count; i++) {
        const struct tomb *tomb = &tombs->places[i];

        if (memcmp(tomb->channel, channel, sizeof(tomb->channel)) == 0)
            return now_ns < tomb->until_ns ? tomb : NULL;
    }
    return NULL;
}

void ewi_tombs_free(struct tombs *tombs)
{
    free(tombs->places);
    *tombs = (struct tombs){0};
}
