"""The contract of a channel, the same on every path. Each file is one topic.

A test file for a path imports all of it and supplies the fixture ``way``; nothing else about the
path may appear in it. Where the paths may differ, the specification says so and the test names it.
"""

from tests.conformance.contract_death import *  # noqa: F403
from tests.conformance.contract_end import *  # noqa: F403
from tests.conformance.contract_fork import *  # noqa: F403
from tests.conformance.contract_messages import *  # noqa: F403
from tests.conformance.contract_polling import *  # noqa: F403
from tests.conformance.contract_pressure import *  # noqa: F403
from tests.conformance.contract_signals import *  # noqa: F403
from tests.conformance.contract_stopped import *  # noqa: F403
from tests.conformance.contract_threads import *  # noqa: F403
from tests.conformance.contract_workers import *  # noqa: F403
