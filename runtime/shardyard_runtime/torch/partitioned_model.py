"""The user's module with its wrappers: what of it is on this rank, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from shardyard_runtime.config.placement import Group
from shardyard_runtime.torch.partition.place import move, release, staying, through_blanks
from shardyard_runtime.torch.precision.model import LowPrecisionModule
from shardyard_runtime.torch.state import state


class ReplicatedModule(nn.Module):
    """The layer between wrapper and model when ``ddp`` is on; scripts reach the model by ``.module.module``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


class PartitionedModel(nn.Module):
    """A model whose modules have owners, once ``partitioned``."""

    module: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.partitioned = False
        self._owner: dict[str, int] = {}
        self._gathered = False  # parameters of other partitions are here, by cpu()

    def get_module(self) -> nn.Module:
        """The user's model, below every wrapper."""
        module = self.module
        while isinstance(module, ReplicatedModule | LowPrecisionModule):
            module = module.module
        return module

    def local_named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Modules that this rank's partition owns; all of them before the first step."""
        mine = state.live.placement.rank_in(Group.PP, state.live.rank)
        for path, module in self.get_module().named_modules():
            if not self.partitioned or self._owner[path] == mine:
                yield path, module

    def local_modules(self) -> Iterator[nn.Module]:
        return (module for _, module in self.local_named_modules())

    def local_named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        seen: set[int] = set()
        for path, module in self.local_named_modules():
            for name, parameter in module.named_parameters(path, recurse=False):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield name, parameter

    def local_parameters(self) -> Iterator[nn.Parameter]:
        return (parameter for _, parameter in self.local_named_parameters())

    def local_named_buffers(self) -> Iterator[tuple[str, torch.Tensor]]:
        for path, module in self.local_named_modules():
            yield from module.named_buffers(path, recurse=False)

    def local_buffers(self) -> Iterator[torch.Tensor]:
        return (buffer for _, buffer in self.local_named_buffers())

    def _settle(self) -> None:
        """Puts what this rank's partition owns on its device, and frees the rest."""
        here = {id(module) for module in self.local_modules()}
        for module in self.get_module().modules():
            if id(module) in here:
                move(module, state.live.device)
            else:
                release(module)
        self._gathered = False

    def cpu(self) -> PartitionedModel:
        """Brings all partitions' parameters and buffers here, to the CPU. Collective over the pipeline group.

        The model still runs in steps only, and the next step takes them apart again.
        """
        if not self.partitioned:
            return super().cpu()
        root = self.get_module()
        mine = [
            {name: tensor.detach().cpu() for name, tensor in named}
            for named in (self.local_named_parameters(), self.local_named_buffers())
        ]
        for parameters, buffers in state.live.objects.allgather(mine, Group.PP):
            for name, value in parameters.items():
                parameter = root.get_parameter(name)
                gradient, parameter.grad = parameter.grad, None
                parameter.data = value
                parameter.grad = None if gradient is None else gradient.cpu()
            for name, value in buffers.items():
                path, _, own = name.rpartition(".")
                root.get_submodule(path)._buffers[own] = value
        self._gathered = True
        return self

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        """What ``to``, ``cuda``, ``half`` and the like come to; a partitioned model stays where it is, as it is.

        One that is to be partitioned is not moved to a GPU before, as documented: its first step does that.
        """
        if not self.partitioned:
            if state.live.placement.pp_size > 1:
                fn = staying(fn)
            return super()._apply(through_blanks(fn), *args, **kwargs)
        here = [*self.local_parameters(), *self.local_buffers()]
        for dtype, device in {(t.dtype, t.device) for t in here}:
            made = fn(torch.empty(0, dtype=dtype, device=device))
            if (made.dtype, made.device) != (dtype, device):
                raise RuntimeError(
                    f"the model is partitioned, with {dtype} on {device}, and cannot become {made.dtype} on "
                    f"{made.device}: convert it before its first step. model.cpu() brings all of it to the CPU"
                )
        for tensor in here:
            tensor.data = fn(tensor.data)
        return self
