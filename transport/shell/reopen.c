/* A device that is lost for good gives way to another, opened from the same text.
 *
 * An interface was deleted and made again; the server of a memif ended, and its client's driver joins once.
 * The stack stays, with its listeners; its connections have failed when the carrier went. The old device
 * is closed before the new one is opened: what it used may be all there is. In between the stack is on a
 * device that has nothing and takes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "transport/shell/shell.h"

/* ---- no device ---- */

static uint32_t none_receive(struct device *device, struct net_rx *packets, uint32_t count)
{
    (void)device, (void)packets, (void)count;
    return 0;
}

static void none_give_back(struct device *device, void **refs, uint32_t count)
{
    (void)device, (void)refs, (void)count;
    EWI_ASSERT(!"a packet of a device that was closed");
}

static uint32_t none_frames(struct device *device, struct net_frame *frames, uint32_t count)
{
    (void)device, (void)frames, (void)count;
    return 0;
}

static bool none_carrier(struct device *device)
{
    (void)device;
    return false;
}

static bool none_is_lost(struct device *device)
{
    (void)device;
    return true;
}

static void none_counts(struct device *device, struct device_counts *out)
{
    (void)device;
    *out = (struct device_counts){0};
}

static void none_close(struct device *device)
{
    (void)device;
}

static const struct device_ops none = {
    .name = "none",
    .close = none_close,
    .receive = none_receive,
    .give_back = none_give_back,
    .arm = none_frames,
    .transmit = none_frames,
    .carrier = none_carrier,
    .counts = none_counts,
    .forked = none_close,
    .is_lost = none_is_lost,
};

/* ---- the change ---- */

static bool is_replaceable(const struct ewi_stack *stack)
{
    return stack->is_down && stack->opener != NULL && stack->ops->is_lost != NULL &&
           stack->ops->is_lost(stack->device);
}

/* 0: it is to be replaced. 1: no need. */
static int judge(struct ewi_stack *stack, char *reason)
{
    stack->carrier_at = 0; /* look now */
    (void)ewi_shell_turn(stack, ewi_now_ns());
    if (!stack->is_down && stack->away_since == 0)
        return 1;
    if (stack->is_reopening)
        return ewi_shell_refuse(reason, -EBUSY, "%s is being opened by another thread",
                                stack->facts.name);
    if (!is_replaceable(stack))
        return ewi_shell_refuse(reason, -EAGAIN, "%s is there and has no carrier: it is waited for",
                                stack->facts.name);
    if (stack->packets_kept != 0)
        return ewi_shell_refuse(reason, -EBUSY, "%s is gone; %u packets of it are not read yet",
                                stack->facts.name, stack->packets_kept);
    return 0;
}

/* What is armed, and what it has not taken, goes with it. */
static void leave_device(struct ewi_stack *stack)
{
    ewi_shell_sleep_detach(stack);
    for (int i = 0; i < SHELL_FRAMES; i++)
        stack->frames[i].room = NULL;
    stack->counts.frames_lost += stack->frames_left;
    stack->frames_armed = stack->frames_left = 0;
    stack->ops = &none;
    stack->device = NULL;
    stack->is_reopening = true;
}

/* Its address may be another: an interface that was made again has its own. */
static void take_device(struct ewi_stack *stack, struct device *device)
{
    stack->ops = stack->opener;
    stack->device = device;
    stack->facts = *stack->ops->facts(device);
    stack->counts.reopens += 1;
    stack->carrier_at = 0;
    (void)ewi_net_port_set_mac(stack->net, stack->port, stack->facts.mac);
    ewi_shell_kick(stack);
}

static int open_device(struct ewi_stack *stack, const struct device_facts *facts, char *reason,
                       struct device **out)
{
    struct device_options options =
        ewi_shell_device_options(&stack->settings, stack->device_seed, reason);

    options.mtu = facts->mtu;
    if (facts->any_mac) { /* its neighbours know it */
        options.mac_given = true;
        memcpy(options.mac, facts->mac, sizeof(options.mac));
    }
    return stack->opener->open(&options, out);
}

/* The net keeps what it was told of its port. */
static int compare(const struct device_facts *before, const struct device_facts *after, char *reason)
{
    if (after->caps == before->caps && after->mtu == before->mtu && after->tso_max == before->tso_max)
        return 0;
    return ewi_shell_refuse(reason, -ENOTSUP, "%s is another device than before: capabilities %#x, were "
                            "%#x, MTU %u, was %u; start the program again", after->name, after->caps,
                            before->caps, after->mtu, before->mtu);
}

int ewi_shell_reopen(struct ewi_stack *stack, char *reason)
{
    struct device *before, *device = NULL;
    const struct device_ops *ops;
    struct device_facts facts;
    int code;

    reason[0] = '\0';
    ewi_shell_enter(stack);
    code = judge(stack, reason);
    if (code != 0) {
        ewi_shell_leave(stack, ewi_now_ns());
        return code > 0 ? 0 : code;
    }
    facts = stack->facts;
    before = stack->device;
    ops = stack->ops;
    leave_device(stack);
    ewi_lock_give(&stack->guard);
    ops->close(before);
    code = open_device(stack, &facts, reason, &device);
    if (code == 0 && (code = compare(&facts, stack->opener->facts(device), reason)) != 0)
        stack->opener->close(device);
    ewi_shell_enter(stack);
    stack->is_reopening = false;
    if (code == 0)
        take_device(stack, device);
    ewi_lock_give(&stack->guard);
    return code;
}
