"""Statistics of the classes after a step of two processes: those of one process on the joined batch."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from segkit.config.heads import IDRNetConfig, MCIBIConfig, MCIBIPlusPlusConfig
from segkit.config.layers import SyncBatchNormConfig
from segkit.layers.defaults import layer_defaults
from segkit.registry import HEADS
from segkit.types import IGNORE_INDEX, FeatureSpec, StepInfo

CONFIGS = {
    "IDRNet": IDRNetConfig(channels=8, attention_channels=4, dropout=0.0),
    "MCIBI": MCIBIConfig(channels=8, attention_channels=4, out_channels=8, dropout=0.0),
    "MCIBIPlusPlus": MCIBIPlusPlusConfig(channels=8, attention_channels=4, out_channels=8, dropout=0.0),
}
IMAGES, CLASSES, STEPS = 4, 4, 3


def learnt(name: str, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
    """The buffers after some steps on this process's part of each batch; draws depend on the image alone."""
    torch.manual_seed(0)
    specs = (FeatureSpec(6, 4), FeatureSpec(8, 8))
    with layer_defaults(norm=SyncBatchNormConfig()):
        head = HEADS.build(CONFIGS[name], specs, CLASSES).train()
    part = slice(rank * IMAGES // world, (rank + 1) * IMAGES // world)
    for number in range(STEPS):
        generator = torch.Generator().manual_seed(number)
        maps = [torch.randn(IMAGES, s.channels, 48 // s.stride, 48 // s.stride, generator=generator) for s in specs]
        target = torch.randint(0, CLASSES, (IMAGES, 48, 48), generator=generator)
        target[0] = IGNORE_INDEX  # pixels are spread unevenly
        target[1:3][target[1:3] == number] = IGNORE_INDEX  # a class that one process alone sees
        draws = torch.rand(IMAGES, generator=generator, dtype=torch.float64)
        head.draw = lambda count, device, own=draws[part]: own
        head.learn([x[part] for x in maps], StepInfo(target[part], number + 1, 0.005))
    return {key: value for key, value in head.state_dict().items() if key not in dict(head.named_parameters())}


def work(rank: int, name: str, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(learnt(name, rank, 2), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_remember_as_one(name: str, tmp_path: Path) -> None:
    mp.spawn(work, (name, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(first, learnt(name), rtol=1e-4, atol=1e-5)
