/* tests/sim/net_scene.h - two hosts, two wires, some connections: what most scenarios are.
 *
 * Purpose    A scenario says what is special about it; everything else is usual or drawn.
 * Shape      scene   plans; zero is usual. node 0 connects to node 1.
 *            scene_play(&scene) -> struct outcome
 *            The device of each node is drawn from those that can do the same, unless `plain`.
 * Owner      as tests/sim/net_users.h
 * Threads    one
 * Trust      the stacks are under test
 * Errors     SIM_CHECK fails
 * Invariants I1  every scene ends with all streams closed and no buffer kept.
 * Ordering   none
 * Source     issue 4, item 6
 */
#ifndef TESTS_SIM_NET_SCENE_H
#define TESTS_SIM_NET_SCENE_H

#include "tests/sim/net_users.h"

enum { CLIENT = 0, SERVER = 1 };

struct scene {
    struct wire_plan there, back; /* to the server, to the client */
    struct node_plan node[2];
    struct app_plan app[2];
    int family; /* 0: drawn */
    int pairs;  /* 0: 1 */
    bool plain; /* the devices are as the plans say */
    uint64_t stagger; /* between the connects */
    void (*prepare)(void); /* nodes are there, nobody has connected */
    uint64_t limit; /* of virtual time; 0: 10 minutes */
};

struct outcome {
    uint64_t ns; /* from the first connect until the last byte was read */
    uint64_t timeouts, resent, undone, spurious; /* of both ends of all */
    uint64_t bytes; /* read */
    uint64_t failures;
    struct wire there, back;
    uint64_t segments, resets;
};

void set_all(enum net_option option, uint64_t value);
void set_of(int node, enum net_option option, uint64_t value);
/* A device that is as good as any other. */
uint32_t any_device(void);
uint64_t scene_seed(void);
int scene_family(const struct scene *scene);
void scene_begin(const struct scene *scene);

extern struct outcome last_outcome; /* of the last scene, for SCENE_CHECK */

void outcome_show(const struct outcome *out);

/* As CHECK; says what the last scene came to. */
#define SCENE_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            outcome_show(&last_outcome);                                                           \
            harness_fail(__FILE__, __LINE__, #condition);                                          \
        }                                                                                          \
    } while (0)

struct outcome scene_play(const struct scene *scene);

#endif
