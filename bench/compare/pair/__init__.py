"""The pair program: two processes that do one work on request, the same for every system.

    python -m bench.compare.pair SYSTEM [NAME=VALUE...]     in C: build/dev/bench/pair SYSTEM ...

The first process asks (the client), its child answers (the server). Options of every system:

    wait=adaptive   spin, adaptive or block: how both wait for a message; epoll: sockets and pipes
                    in C, which wait in epoll_wait
    cores=0,1       where client and server are pinned; "" leaves them alone
    netns=A,B       network namespaces (of ``ip netns``) of client and server
    links=1         channels between the two
    samples=PATH    a file that takes the samples
    folder=PATH     an empty directory for both, which the caller removes

The first prints one line of JSON: ``{"ready": SYSTEM, "version": "...", "detail": "..."}``, or
``{"missing": "why", "fix": "pip install ..."}`` and ends with 0. Then each line of its stdin is a
work, and each is answered by a line:

    trip BYTES SECONDS          round trips on the first link, one after the other
    paced BYTES SECONDS RATE    round trips that begin RATE times a second, whether or not the one
                                before has come back: a sample counts from when it was to begin
    fan BYTES SECONDS           a message on every link, then the answers of all; again
    flow BYTES SECONDS          one way, client to server, until the server has the last
    window BYTES SECONDS COUNT  round trips on the first link of which COUNT are under way at a time

    {"count": N, "ns": N, "cpu_ns": N, "switches": N}    messages (trips, for all but ``flow``), how
        long they took, CPU time and context switches of both processes meanwhile. ``trip`` and
        ``paced`` leave `count` samples at the begin of the file: ns, uint32, little endian.
    {"cannot": "why"}           not possible in this size or at all

A pair ends when its stdin does, or after an hour. Between two works both processes sleep. How often
a work is done follows from short trials, so that it takes about SECONDS; every message is written
before, so that no page is touched for the first time.

An order that cannot be understood ends the pair with a line on stderr and exit code 2. Options of
some systems: ``bind=HOST`` (where the server of a network protocol listens), ``loop=uvloop`` (for
asyncio), ``fabric_*`` (Eastwest's devices).

__main__.py   the protocol
work.py       what is asked for, how often it is done, what it took
loops.py      the loops of the works, for calls that block
aio.py        the same for asyncio
ends.py       what a system is: one side of its links
segments.py   shared memory that libraries leave
systems/      a file for each system
"""
