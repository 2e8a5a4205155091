"""The contract of an asyncio channel, the same on every path and in every loop.

A test file for a path imports all of it and supplies the fixture ``way``.
"""

from tests.conformance.contract_aio_end import *  # noqa: F403
from tests.conformance.contract_aio_messages import *  # noqa: F403
from tests.conformance.contract_aio_pressure import *  # noqa: F403
from tests.conformance.contract_aio_tasks import *  # noqa: F403
