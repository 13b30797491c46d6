"""The processes that share a list of files: each takes the next ones when it is free, so none is done twice."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as torch_dist
from torch.distributed import Store  # type: ignore[attr-defined]

T = TypeVar("T")

_PATIENCE = timedelta(days=30)  # for the others' last files; the launcher ends us if one of them has died


class Crew:
    """This process among others, which talk through a store; without one, it is alone.

    Attributes:
        rank: this process's number.
        size: how many there are.
    """

    def __init__(self, store: Store | None = None, rank: int = 0, size: int = 1) -> None:
        self._store: Any = torch_dist.HashStore() if store is None else store  # type: ignore[attr-defined]
        self.rank, self.size = rank, size

    def agree(self, name: str, value: Any) -> Any:
        """The plain ``value`` that the first process has; the others' are not looked at."""
        if self.rank == 0:
            self._store.set(name, json.dumps(value))
            return value
        self._store.wait([name], _PATIENCE)
        return json.loads(self._store.get(name))

    def take(self, name: str, items: Sequence[T], count: int) -> Sequence[T]:
        """The next ``count`` of the items that nobody took; fewer at the end, then none."""
        stop = self._store.add(f"taken/{name}", count)
        return items[stop - count : stop]

    def add(self, name: str, count: int) -> int:
        """Adds to a counter of all processes; its new value."""
        total: int = self._store.add(f"count/{name}", count)
        return total

    def gather(self, name: str, value: Any) -> list[Any]:
        """Every process's plain ``value`` on the first, which waits for them; an empty list on the others."""
        self._store.set(f"{name}/{self.rank}", json.dumps(value))
        if self.rank:
            return []
        names = [f"{name}/{rank}" for rank in range(self.size)]
        self._store.wait(names, _PATIENCE)
        return [json.loads(self._store.get(key)) for key in names]

    def leave(self) -> None:
        """Waits until the first process, which holds the store, has heard from all, and so until it is done."""
        if self.rank == 0:
            self._store.set("end", "1")
        else:
            self._store.wait(["end"], _PATIENCE)
