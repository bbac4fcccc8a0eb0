# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
"""A key-value cache that grows in blocks.

The library's dynamic cache copies all keys and values for every new token: on a CPU, 44 % of a step at 16 rows of 400
tokens (SmolLM2-135M, float32). Here a layer keeps room for tokens to come and writes them in place; what it hands out
is a view of the part that is filled.

Shapes: R rows, H heads, T tokens, D head size.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

BLOCK = 256  # tokens by which a full layer grows: the copy is paid once in so many steps


def make_cache(config: Any) -> Any:
    """An empty cache for this architecture: growing layers for plain attention, the library's own for all others."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, (R, H, T, D) each, with room to grow."""

    keys: Any
    values: Any

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the states of new tokens and return all."""
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.is_initialized = True
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
            self._rooms = (self.keys, self.values)
        keys, key_room = _append(self.keys, self._rooms[0], key_states)
        values, value_room = _append(self.values, self._rooms[1], value_states)
        self.keys, self.values, self._rooms = keys, values, (key_room, value_room)
        return keys, values

    def reorder_cache(self, beam_idx: Any) -> None:
        """Keep these rows, in this order. The old room is let go of."""
        super().reorder_cache(beam_idx)
        self._rooms = (self.keys, self.values)


def _append(filled_RHTD: torch.Tensor, room: torch.Tensor, new_RHTD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The filled part with the new states after it, and the room it is a view of: a larger one where need be."""
    start = filled_RHTD.shape[-2]
    end = start + new_RHTD.shape[-2]
    # keys and values that are not a view of the room (someone replaced them) must not be lost: copy them into a new one
    if end > room.shape[-2] or room.data_ptr() != filled_RHTD.data_ptr():
        rows, heads, _, size = new_RHTD.shape
        room = new_RHTD.new_empty(rows, heads, -(-end // BLOCK) * BLOCK, size)
        room[:, :, :start] = filled_RHTD
    room[:, :, start:end] = new_RHTD
    return room[:, :, :end], room
