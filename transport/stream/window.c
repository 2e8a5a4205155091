#include "transport/stream/window.h"

bool ewi_window_is_due(const struct window_receiving *window, const struct window_received *now)
{
    bool is_near = window->answers > 0 && window->trip_ns < WINDOW_TRIP_NS_MIN; /* I2 */

    return !is_near && window->token == 0 && !window->measuring &&
           now->taken >= now->inbox_bytes / 2 && now->taken >= window->not_before; /* I1 */
}

uint64_t ewi_window_ask(struct window_receiving *window, const struct window_received *now,
                        uint64_t now_ns)
{
    EWI_ASSERT(window->token == 0 && !window->measuring);
    window->token = ++window->tokens;
    window->began_ns = now_ns;
    window->taken = now->taken;
    window->not_before = now->taken + now->inbox_bytes / 2;
    return window->token;
}

void ewi_window_answered(struct window_receiving *window, uint64_t token, uint64_t now_ns)
{
    uint64_t trip_ns = now_ns - window->began_ns;

    if (token == 0 || token != window->token)
        return; /* nobody asked */
    window->token = 0;
    window->trip_ns = window->answers == 0 ? trip_ns : ewi_min_u64(window->trip_ns, trip_ns);
    window->answers += 1;
    window->measuring = window->answers >= WINDOW_ANSWERS && window->trip_ns >= WINDOW_TRIP_NS_MIN;
}

bool ewi_window_judge(struct window_receiving *window, const struct window_received *now,
                      uint64_t now_ns)
{
    uint64_t passed_ns = now_ns - window->began_ns;
    uint64_t trips = (passed_ns + window->trip_ns - 1) / window->trip_ns;

    if (passed_ns < WINDOW_TRIPS * window->trip_ns)
        return false;
    window->measuring = false; /* this ACK may begin another */
    return now->taken - window->taken > trips * (now->inbox_bytes / 2) &&
           now->consumed >= window->taken;
}

bool ewi_window_full(struct window_sending *window, const struct window_sent *now)
{
    uint64_t more = now->ring_bytes / 4;
    bool again;

    if (now->sent - now->released < now->ring_bytes / 2)
        return false; /* it was full, and is not any more */
    if (now->limit - now->peer_consumed < now->ring_bytes + more || now->limit < now->sent + more) {
        window->marked = false;
        return false;
    }
    if (window->marked && now->peer_consumed < window->mark)
        return false; /* the same round trip still */
    again = window->marked;
    window->marked = !again;
    window->mark = now->sent;
    return again;
}

uint64_t ewi_window_next(uint64_t bytes, uint64_t bytes_max)
{
    return bytes < bytes_max ? ewi_min_u64(2 * bytes, bytes_max) : 0;
}
