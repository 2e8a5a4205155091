#include "transport/net/neighbour.h"

#include <string.h>

#define MILLISECOND UINT64_C(1000000)
#define SECOND      (1000 * MILLISECOND)

enum { /* RFC 4861 section 10; RFC 1122 section 2.3.2.1 has the same rate for ARP */
    MULTICAST_REQUESTS = 3,
    UNICAST_REQUESTS = 3,
    RETRANSMIT_SECONDS = 1,
    REACHABLE_SECONDS = 30,
    DELAY_SECONDS = 5,
    FAILED_SECONDS = 1, /* ours: how long the answer is "nobody there" without asking again */
    AGAIN_MILLISECONDS = 10, /* ours: after there was no slot for a request */
    VICTIMS = 16, /* ours: unknown ones that are looked at for one without parked connections */
};

/* ---- memory ---- */

/* I5: those who died between two ticks have to lie somewhere. */
static uint32_t pool_slots(uint32_t count_max)
{
    return count_max + count_max / 4 + 1;
}

static size_t pool_part(uint32_t count_max)
{
    size_t bytes = ewi_net_pool_bytes(pool_slots(count_max), sizeof(struct net_neighbour));

    return (size_t)ewi_align_up(bytes, NET_ALIGN);
}

size_t ewi_net_neighbours_bytes(uint32_t count_max)
{
    if (count_max == 0 || count_max > NET_NEIGHBOURS_MAX)
        return 0;
    return pool_part(count_max) + ewi_net_table_bytes(count_max);
}

static struct net_rows rows_at(const struct net_neighbours *neighbours, size_t offset)
{
    return (struct net_rows){neighbours->pool.objects.base + offset, sizeof(struct net_neighbour)};
}

void ewi_net_neighbours_init(struct net_neighbours *neighbours, void *memory, uint32_t count_max,
                             const uint8_t seed[32], struct net_random *random, uint64_t now)
{
    EWI_ASSERT(ewi_net_neighbours_bytes(count_max) != 0);
    neighbours->random = random;
    neighbours->count_max = count_max;
    ewi_net_key(neighbours->key, seed, NET_KEY_NEIGHBOURS);
    ewi_net_pool_init(&neighbours->pool, memory, pool_slots(count_max),
                      sizeof(struct net_neighbour));
    ewi_net_table_init(&neighbours->table, (uint8_t *)memory + pool_part(count_max), count_max,
                       rows_at(neighbours, offsetof(struct net_neighbour, name)));
    ewi_net_wheel_init(&neighbours->wheel,
                       rows_at(neighbours, offsetof(struct net_neighbour, timer)), now);
    for (int i = 0; i < NET_LISTS; i++)
        neighbours->list[i] = (struct net_neighbour_list_ends){NET_NONE, NET_NONE, 0};
}

/* ---- lists ---- */

static struct net_neighbour *at(const struct net_neighbours *neighbours, uint32_t index)
{
    return ewi_net_neighbour_at(neighbours, index);
}

static void unlink_from_list(struct net_neighbours *neighbours, uint32_t index)
{
    struct net_neighbour *neighbour = at(neighbours, index);
    struct net_neighbour_list_ends *list;

    if (neighbour->list == NET_LIST_STATIC)
        return;
    list = &neighbours->list[neighbour->list];
    if (neighbour->newer == NET_NONE)
        list->newest = neighbour->older;
    else
        at(neighbours, neighbour->newer)->older = neighbour->older;
    if (neighbour->older == NET_NONE)
        list->oldest = neighbour->newer;
    else
        at(neighbours, neighbour->older)->newer = neighbour->newer;
    list->count -= 1;
}

static void link_newest(struct net_neighbours *neighbours, uint32_t index,
                        enum net_neighbour_list which, uint64_t now)
{
    struct net_neighbour *neighbour = at(neighbours, index);
    struct net_neighbour_list_ends *list;

    neighbour->list = (uint8_t)which;
    neighbour->moved = now;
    if (which == NET_LIST_STATIC)
        return;
    list = &neighbours->list[which];
    neighbour->newer = NET_NONE;
    neighbour->older = list->newest;
    if (list->newest == NET_NONE)
        list->oldest = index;
    else
        at(neighbours, list->newest)->newer = index;
    list->newest = index;
    list->count += 1;
}

static void move_to(struct net_neighbours *neighbours, uint32_t index,
                    enum net_neighbour_list which, uint64_t now)
{
    unlink_from_list(neighbours, index);
    link_newest(neighbours, index, which, now);
}

/* ---- states ---- */

/* A timer that is stopped is taken out: left in its bucket it would wake somebody once in vain. */
static void enter(struct net_neighbours *neighbours, uint32_t index, enum net_neighbour_state state,
                  uint64_t deadline)
{
    struct net_neighbour *neighbour = at(neighbours, index);

    neighbour->state = (uint8_t)state;
    neighbour->asked = 0;
    if (deadline == NET_NEVER)
        ewi_net_wheel_remove(&neighbours->wheel, index);
    else
        ewi_net_wheel_arm(&neighbours->wheel, index, deadline);
}

/* RFC 4861 section 6.3.2: half to one and a half of the base, so that not all are probed at once. */
static void draw_reachable(struct net_neighbours *neighbours, struct net_neighbour *neighbour)
{
    neighbour->reachable_ns = ewi_net_random_jitter(neighbours->random, REACHABLE_SECONDS * SECOND, 2);
}

static void enter_reachable(struct net_neighbours *neighbours, uint32_t index, uint64_t now)
{
    struct net_neighbour *neighbour = at(neighbours, index);

    enter(neighbours, index, NET_NEIGHBOUR_REACHABLE, NET_NEVER);
    neighbour->until = now + neighbour->reachable_ns;
}

static void count_request(struct net_neighbours *neighbours, uint32_t index, uint64_t now)
{
    at(neighbours, index)->asked += 1;
    ewi_net_wheel_arm(&neighbours->wheel, index, now + RETRANSMIT_SECONDS * SECOND);
}

static enum net_neighbour_action begin_to_ask(struct net_neighbours *neighbours, uint32_t index,
                                              uint64_t now)
{
    enter(neighbours, index, NET_NEIGHBOUR_INCOMPLETE, NET_NEVER);
    count_request(neighbours, index, now);
    return NET_DO_ASK_ALL;
}

/* ---- find, make, forget ---- */

static struct net_tuple name_of(uint16_t port, uint8_t family, const uint8_t ip[16])
{
    struct net_tuple name = {.local_port = port, .family = family};

    memcpy(name.remote, ip, 16);
    return name;
}

uint32_t ewi_net_neighbours_find(const struct net_neighbours *neighbours, uint16_t port,
                                 uint8_t family, const uint8_t ip[16])
{
    struct net_tuple name = name_of(port, family, ip);
    uint64_t hash = ewi_net_tuple_hash(neighbours->key, &name);

    return ewi_net_table_find(&neighbours->table, hash, &name);
}

static uint32_t unknown_max(const struct net_neighbours *neighbours)
{
    return neighbours->count_max < 2 ? 1 : neighbours->count_max / 2;
}

static bool is_full(const struct net_neighbours *neighbours)
{
    uint32_t live = neighbours->pool.used - neighbours->list[NET_LIST_DEAD].count;

    return live == neighbours->count_max;
}

static uint32_t first_of(uint32_t a, uint32_t b, uint32_t c)
{
    if (a != NET_NONE)
        return a;
    return b != NET_NONE ? b : c;
}

/* Connections wait for longer than packets: somebody who makes us answer packets must not break those
 * that open. So the oldest without any, among the oldest few. */
static uint32_t oldest_unknown(const struct net_neighbours *neighbours)
{
    uint32_t oldest = neighbours->list[NET_LIST_UNKNOWN].oldest, index = oldest;

    for (int i = 0; i < VICTIMS && index != NET_NONE; i++) {
        if (at(neighbours, index)->parked == NET_NONE)
            return index;
        index = at(neighbours, index)->newer;
    }
    return oldest;
}

static uint32_t victim_for_unknown(const struct net_neighbours *neighbours)
{
    const struct net_neighbour_list_ends *list = neighbours->list;

    if (list[NET_LIST_UNKNOWN].count >= unknown_max(neighbours))
        return oldest_unknown(neighbours); /* I2 */
    if (!is_full(neighbours))
        return NET_NONE;
    return first_of(list[NET_LIST_GUESTS].oldest, list[NET_LIST_SURE].oldest,
                    oldest_unknown(neighbours));
}

static uint32_t victim_for_guest(const struct net_neighbours *neighbours)
{
    const struct net_neighbour_list_ends *guests = &neighbours->list[NET_LIST_GUESTS];
    bool is_limit = is_full(neighbours) || guests->count >= neighbours->count_max / 4;

    return is_limit ? guests->oldest : NET_NONE; /* I1 */
}

static uint32_t victim_for_static(const struct net_neighbours *neighbours)
{
    const struct net_neighbour_list_ends *list = neighbours->list;

    if (!is_full(neighbours))
        return NET_NONE;
    return first_of(list[NET_LIST_GUESTS].oldest, oldest_unknown(neighbours),
                    list[NET_LIST_SURE].oldest);
}

bool ewi_net_neighbours_victim(const struct net_neighbours *neighbours, enum net_neighbour_list list,
                               uint32_t *victim)
{
    if (list == NET_LIST_UNKNOWN)
        *victim = victim_for_unknown(neighbours);
    else if (list == NET_LIST_GUESTS)
        *victim = victim_for_guest(neighbours);
    else
        *victim = victim_for_static(neighbours);
    if (*victim == NET_NONE)
        return !is_full(neighbours) && (list != NET_LIST_GUESTS || neighbours->count_max >= 4);
    return at(neighbours, *victim)->parked == NET_NONE ||
           neighbours->list[NET_LIST_DEAD].count <= neighbours->count_max / 4; /* I5 */
}

static void start(struct net_neighbours *neighbours, uint32_t index, enum net_neighbour_list list,
                  uint64_t now)
{
    link_newest(neighbours, index, list, now);
    if (list == NET_LIST_UNKNOWN)
        begin_to_ask(neighbours, index, now);
    else
        enter(neighbours, index,
              list == NET_LIST_STATIC ? NET_NEIGHBOUR_REACHABLE : NET_NEIGHBOUR_STALE, NET_NEVER);
}

uint32_t ewi_net_neighbours_make(struct net_neighbours *neighbours, enum net_neighbour_list list,
                                 const struct net_tuple *name, const uint8_t *mac, uint64_t now)
{
    uint64_t hash = ewi_net_tuple_hash(neighbours->key, name);
    uint32_t index = ewi_net_pool_take(&neighbours->pool);
    struct net_neighbour *neighbour;

    EWI_ASSERT((mac == NULL) == (list == NET_LIST_UNKNOWN) && list != NET_LIST_SURE);
    EWI_ASSERT(index != NET_NONE); /* the caller made room */
    neighbour = at(neighbours, index);
    *neighbour = (struct net_neighbour){
        .parked = NET_NONE,
        .first = NET_NONE,
        .last = NET_NONE,
        .name = *name,
    };
    ewi_net_timer_init(&neighbour->timer);
    if (ewi_net_table_insert(&neighbours->table, hash, index) != EW_OK) {
        ewi_net_pool_give(&neighbours->pool, index);
        return NET_NONE;
    }
    if (mac != NULL)
        memcpy(neighbour->mac, mac, 6);
    draw_reachable(neighbours, neighbour);
    start(neighbours, index, list, now);
    return index;
}

void ewi_net_neighbours_retire(struct net_neighbours *neighbours, uint32_t index)
{
    struct net_neighbour *neighbour = at(neighbours, index);
    uint64_t hash = ewi_net_tuple_hash(neighbours->key, &neighbour->name);

    EWI_ASSERT(neighbour->waiting == 0 && !ewi_net_neighbour_is_dead(neighbour));
    ewi_net_wheel_remove(&neighbours->wheel, index);
    EWI_ASSERT(ewi_net_table_remove(&neighbours->table, hash, index));
    move_to(neighbours, index, NET_LIST_DEAD, neighbour->moved);
    if (neighbour->parked == NET_NONE)
        ewi_net_neighbours_bury(neighbours, index);
}

void ewi_net_neighbours_bury(struct net_neighbours *neighbours, uint32_t index)
{
    const struct net_neighbour *neighbour = at(neighbours, index);

    EWI_ASSERT(ewi_net_neighbour_is_dead(neighbour) && neighbour->parked == NET_NONE);
    unlink_from_list(neighbours, index);
    ewi_net_pool_give(&neighbours->pool, index);
}

void ewi_net_neighbour_fix(struct net_neighbours *neighbours, uint32_t index, const uint8_t mac[6])
{
    memcpy(at(neighbours, index)->mac, mac, 6);
    move_to(neighbours, index, NET_LIST_STATIC, 0);
    enter(neighbours, index, NET_NEIGHBOUR_REACHABLE, NET_NEVER);
}

/* ---- sending to it ---- */

static void touch(struct net_neighbours *neighbours, uint32_t index, uint64_t now)
{
    const struct net_neighbour *neighbour = at(neighbours, index);

    if (neighbour->list == NET_LIST_GUESTS)
        move_to(neighbours, index, NET_LIST_SURE, now);
    else if (now - neighbour->moved >= NET_NEIGHBOUR_MOVE_NS)
        move_to(neighbours, index, neighbour->list, now);
}

/* RFC 4861 section 7.3.3 */
enum net_neighbour_action ewi_net_neighbour_use(struct net_neighbours *neighbours, uint32_t index,
                                                uint64_t now)
{
    struct net_neighbour *neighbour = at(neighbours, index);

    if (ewi_net_neighbour_is_fresh(neighbour, now))
        return NET_DO_NOTHING;
    touch(neighbours, index, now);
    if (neighbour->state == NET_NEIGHBOUR_REACHABLE && now >= neighbour->until)
        neighbour->state = NET_NEIGHBOUR_STALE;
    if (neighbour->state == NET_NEIGHBOUR_STALE)
        enter(neighbours, index, NET_NEIGHBOUR_DELAY, now + DELAY_SECONDS * SECOND);
    if (neighbour->state == NET_NEIGHBOUR_FAILED && now >= neighbour->until)
        return begin_to_ask(neighbours, index, now);
    return NET_DO_NOTHING;
}

void ewi_net_neighbour_confirm(struct net_neighbours *neighbours, uint32_t index, uint64_t now)
{
    struct net_neighbour *neighbour = at(neighbours, index);

    if (neighbour->list == NET_LIST_SURE && neighbour->state == NET_NEIGHBOUR_REACHABLE)
        neighbour->until = now + neighbour->reachable_ns;
    else if (neighbour->list == NET_LIST_SURE)
        enter_reachable(neighbours, index, now);
}

/* ---- timers ---- */

static enum net_neighbour_action give_up(struct net_neighbours *neighbours, uint32_t index,
                                         uint64_t now)
{
    enter(neighbours, index, NET_NEIGHBOUR_FAILED, NET_NEVER);
    at(neighbours, index)->until = now + FAILED_SECONDS * SECOND;
    return NET_DO_GIVE_UP;
}

/* RFC 4861 sections 7.2.2, 7.3.3 */
enum net_neighbour_action ewi_net_neighbour_step(struct net_neighbours *neighbours, uint32_t index,
                                                 uint64_t now)
{
    struct net_neighbour *neighbour = at(neighbours, index);

    if (neighbour->state == NET_NEIGHBOUR_INCOMPLETE) {
        if (neighbour->asked == MULTICAST_REQUESTS)
            return give_up(neighbours, index, now);
        count_request(neighbours, index, now);
        return NET_DO_ASK_ALL;
    }
    if (neighbour->state == NET_NEIGHBOUR_DELAY)
        enter(neighbours, index, NET_NEIGHBOUR_PROBE, NET_NEVER);
    if (neighbour->state != NET_NEIGHBOUR_PROBE)
        return NET_DO_NOTHING;
    if (neighbour->asked == UNICAST_REQUESTS)
        return NET_DO_FORGET;
    count_request(neighbours, index, now);
    return NET_DO_ASK_IT;
}

void ewi_net_neighbour_again(struct net_neighbours *neighbours, uint32_t index, uint64_t now)
{
    struct net_neighbour *neighbour = at(neighbours, index);

    EWI_ASSERT(neighbour->asked > 0);
    neighbour->asked -= 1;
    ewi_net_wheel_arm(&neighbours->wheel, index, now + AGAIN_MILLISECONDS * MILLISECOND);
}

/* ---- hearing from it ---- */

static bool hear_first(struct net_neighbours *neighbours, uint32_t index,
                       const struct net_heard *heard, uint64_t now)
{
    struct net_neighbour *neighbour = at(neighbours, index);
    bool was_asked = neighbour->state == NET_NEIGHBOUR_INCOMPLETE;

    if (heard->mac == NULL)
        return false;
    memcpy(neighbour->mac, heard->mac, 6);
    move_to(neighbours, index, NET_LIST_SURE, now);
    if (heard->is_answer && was_asked)
        enter_reachable(neighbours, index, now);
    else
        enter(neighbours, index, NET_NEIGHBOUR_STALE, NET_NEVER);
    return true;
}

static bool is_news(const struct net_neighbour *neighbour, const struct net_heard *heard)
{
    return heard->mac != NULL && memcmp(heard->mac, neighbour->mac, 6) != 0;
}

/* Beyond the RFC: an answer is one only where a question was, so nobody can keep an entry REACHABLE
 * that we never asked. */
bool ewi_net_neighbour_hear(struct net_neighbours *neighbours, uint32_t index,
                            const struct net_heard *heard, uint64_t now)
{
    struct net_neighbour *neighbour = at(neighbours, index);
    bool news, is_answer;

    if (neighbour->list == NET_LIST_STATIC)
        return false;
    if (!ewi_net_neighbour_is_known(neighbour))
        return hear_first(neighbours, index, heard, now);
    news = is_news(neighbour, heard);
    is_answer = heard->is_answer && neighbour->state == NET_NEIGHBOUR_PROBE;
    if (news && !heard->overrides) {
        if (neighbour->state == NET_NEIGHBOUR_REACHABLE)
            enter(neighbours, index, NET_NEIGHBOUR_STALE, NET_NEVER);
        return false;
    }
    if (news)
        memcpy(neighbour->mac, heard->mac, 6);
    if (is_answer) {
        draw_reachable(neighbours, neighbour);
        enter_reachable(neighbours, index, now);
    } else if (news) {
        enter(neighbours, index, NET_NEIGHBOUR_STALE, NET_NEVER);
    }
    return false;
}
