"""Many questions at once, and one plain error if one of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")


async def side_by_side(coroutines: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """The results in order. If one fails, the others are cancelled and waited for, and its error is raised as it is:
    callers ask for a BudgetExhausted by its name, and not for a group that holds several."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in coroutines]
    except ExceptionGroup as failed:
        error: Exception = failed
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    return [task.result() for task in tasks]
