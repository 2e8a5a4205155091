"""What a ``with`` block and an ``async with`` block do when they are entered and left."""

from types import TracebackType
from typing import Self


class Closing:
    """Entering a ``with`` block gives the object itself; leaving it calls ``_end_block``."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._end_block(kind is not None)

    def _end_block(self, by_exception: bool) -> None:
        """Close, or abort."""
        raise NotImplementedError


class AsyncClosing:
    """The same for an ``async with`` block."""

    __slots__ = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        await self._end_block(kind is not None)

    async def _end_block(self, by_exception: bool) -> None:
        """Close, or abort."""
        raise NotImplementedError
