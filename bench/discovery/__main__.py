"""Discovery: look-ups, round trips, polls, watchers, and what many instances cost one server.

lookup     what a process knows already: view is ``Zmq.view``, provider what ``eastwest`` makes of
           it, this host the look into the runtime directory, connect both together, as every
           connect does it; dict is a dictionary of Python
trip       a service that nobody has asked for yet: bare is a DEALER to a ROUTER in the process of
           the registry server, with messages of the same sizes; registry is the registry's
           protocol over such a DEALER, decoded; client is ``Zmq.poll``, with its thread between
polls      throughput.py
seen       seen.py
memory     load.py
renew      load.py

All servers and clients are processes of this host, over TCP and loopback. With ``--quick`` there
is one round, and a tenth or less of everything there are many of: a look whether it works.
"""

import json
import sys
from contextlib import ExitStack, closing

import zmq

from bench.python.duo import document

from . import load
from .asking import INSTANCES, Lookups, Trips
from .figures import Figures
from .programs import Server, server, several
from .seen import PROCESSES, PROCESSES_QUICK, Watched
from .talk import answer, ask, context_for, dealer, put, record
from .throughput import SERVICES, Load

ROUNDS, ROUNDS_QUICK = 9, 1
CHANGES, CHANGES_QUICK = 5, 2  # registrations of a round
LOAD_ROUNDS, LOAD_ROUNDS_QUICK = 3, 1
WATCHERS = 1000


def main() -> None:
    """Run all rounds."""
    figures = Figures(is_quick="--quick" in sys.argv[1:])
    rounds = ROUNDS_QUICK if figures.is_quick else ROUNDS
    with server(bare=True) as plain, server(clients=1) as keyed, context_for(200) as context:
        first = dealer(context, plain.endpoint)
        for at in range(INSTANCES):
            answer(ask(first, put(record("looked-up", at))))
        with ExitStack() as stack:
            lookups, trips = Lookups(stack, plain, "looked-up"), Trips(plain, context)
            polls = Load(plain, keyed, context, figures.size(SERVICES))
            for at in range(rounds):
                figures.say(f"look-ups, round trips, polls: round {at + 1} of {rounds}")
                lookups.round(figures)
                trips.round(figures)
                polls.round(figures)
        watch(figures, plain, context, rounds)
        context.destroy(linger=0)
    rounds = LOAD_ROUNDS_QUICK if figures.is_quick else LOAD_ROUNDS
    for at in range(rounds):
        for case in load.CASES:
            figures.say(f"instances, {case}: round {at + 1} of {rounds}")
            load.measure(figures, case)
    print(json.dumps(document("discovery", "as each case says", rounds, figures.series)))


def watch(
    figures: Figures, one: Server, context: "zmq.Context[zmq.Socket[bytes]]", rounds: int
) -> None:
    """Measure until when watchers have seen a registration."""
    processes = PROCESSES_QUICK if figures.is_quick else PROCESSES
    watchers = figures.size(WATCHERS) // processes * processes
    arguments = [one.endpoint, one.bare, str(watchers // processes)]
    with (
        several("watchers", *[arguments] * processes) as programs,
        closing(Watched(one, context, programs)) as watched,
    ):
        for at in range(rounds):
            figures.say(f"{watchers} watchers: round {at + 1} of {rounds}")
            for _ in range(CHANGES_QUICK if figures.is_quick else CHANGES):
                watched.round(figures, watchers)


if __name__ == "__main__":
    main()
