"""The texts of the page that do not depend on a result: how it was measured, how to read it."""

from bench.compare.page import figures, naming
from bench.compare.page.markup import Markup, tag
from bench.compare.results import Results

METHOD = (
    (
        "Pairs",
        "For every system two processes do the same works: round trips, round trips at a fixed "
        "rate, a message on each of many links, one way as fast as it goes. One program per "
        "language runs them all; only the calls of the system differ, used as its documentation "
        "says.",
    ),
    (
        "Pinning",
        "Each of the two processes has a core of its own. Between two works both sleep.",
    ),
    (
        "Rounds",
        "All systems of a section are started first; then they take turns: each does its work "
        "once in every round. What the machine does to one of them it does to the others, too, "
        "and a ratio is formed round by round. A number here is the median of the rounds; the "
        "range beside it is the least and the largest.",
    ),
    (
        "Idle gate",
        "A round begins when the processors are idle. If others used them meanwhile, or the host "
        "of a virtual machine took them away, the round is dropped and counted.",
    ),
    (
        "Samples",
        "Every round trip is a sample. They are kept in HdrHistograms, so that p99.9 and the "
        "maximum are those of all samples of all rounds, not averages. results.json also has raw "
        "samples of each round, in the order in which they came.",
    ),
    (
        "Coordinated omission",
        "Who sends the next message when the last came back does not see what a pause does to the "
        "messages that should have been sent during it. In “paced” a round trip begins at a fixed "
        "rate, and is counted from when it was to begin, whether or not the one before has come "
        "back.",
    ),
    (
        "CPU time",
        "What both processes, the kernel and its soft interrupts used on both cores, for one "
        "message. A core that polls is busy all the time, and is counted so.",
    ),
    (
        "Waiting",
        "“spin”: both sides look until the message is there; the fastest, and two cores are full. "
        "“block”: they sleep. “adaptive”, Eastwest's default: it spins as long as that pays, then "
        "sleeps. Who spins meets who spins. Eastwest blocking, and Eastwest by default, each meet "
        "all that do not spin. One message after the other is what adaptive waiting is made for, "
        "and it takes CPU time: that stands beside it.",
    ),
)
READING = (
    ("round trip", "one message there and one of the same size back, on one link"),
    ("one way", "messages in one direction until the receiver has the last one"),
    (
        "p50, p99, p99.9, max",
        "half of all samples are below p50, one in a hundred is above p99, one in "
        "a thousand above p99.9; max is the slowest of all",
    ),
    ("spread", "the shade behind a curve of Eastwest: the least and the largest of the rounds"),
    ("log scale", "both axes of most plots: each line of the grid is ten times the one before"),
)


def method(results: Results) -> list[Markup]:
    """Return how it was measured, with the rounds of this run."""
    made = [
        tag("dl", [_entry(*each) for each in METHOD], class_="columns"),
        tag("h3", "How to read it"),
        tag("dl", [_entry(*each) for each in READING], class_="columns"),
        tag(
            "ul",
            [_family(name) for name in naming.LEGEND],
            class_="legend",
            aria_label="Families of systems and their colours",
        ),
    ]
    return made


def _entry(name: str, says: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", says))


def _family(name: str) -> Markup:
    number = list(naming.LEGEND).index(name)
    return tag("li", naming.LEGEND[name], class_=f"f{number}")


def quick(results: Results) -> Markup | None:
    """Return a warning above the results of a quick run."""
    if not results.is_quick:
        return None
    text = "Few rounds and few samples: it shows that everything works, and roughly how fast."
    return tag("p", tag("strong", "Quick run. "), text, class_="warning", role="note")


def duration(seconds: float) -> str:
    """Return "14.6 minutes"."""
    if seconds >= 90:
        return f"{seconds / 60:.1f} minutes"
    return f"{figures.digits(seconds)} s"
