"""Which of several machines this one is."""

import socket

import pytest

from segkit.config.training import TrainerConfig
from segkit.engine.nodes import Node, interface_towards, this_node
from segkit.errors import ConfigError

TWO = TrainerConfig(nnodes=2)


def slurm(nodelist: str, node: int, *, nodes: int = 2, tasks: int = 2) -> dict[str, str]:
    """What srun tells each task."""
    return {
        "SLURM_STEP_NODELIST": nodelist,
        "SLURM_NODEID": str(node),
        "SLURM_JOB_ID": "1234567",
        "SLURM_STEP_NUM_NODES": str(nodes),
        "SLURM_STEP_NUM_TASKS": str(tasks),
    }


def test_a_machine_by_itself() -> None:
    assert this_node(TrainerConfig(), slurm("gpu[1-2]", 1)) == Node()


@pytest.mark.parametrize(
    ("nodelist", "first"),
    [
        ("gpu[03-05,9],login1", "gpu03"),
        ("node1,node2", "node1"),
        ("rack[2,7]-node[10-11]", "rack2-node10"),
        ("a-1.cluster", "a-1.cluster"),
    ],
)
def test_slurm_tells_all(nodelist: str, first: str) -> None:
    assert this_node(TWO, slurm(nodelist, 1)) == Node(1, 2, first, 24567)


def test_what_is_configured_comes_before_slurm() -> None:
    config = TrainerConfig(nnodes=2, rendezvous="10.0.0.7", node_rank=0)
    assert this_node(config, slurm("gpu[1-2]", 1)) == Node(0, 2, "10.0.0.7", 29500)


def test_a_slurm_step_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has 4 tasks on 2 nodes; use srun --nodes=2 --ntasks-per-node=1"):
        this_node(TWO, slurm("gpu[1-2]", 0, tasks=4))


def test_the_owner_of_the_address_is_machine_0() -> None:
    assert this_node(TrainerConfig(nnodes=2, rendezvous="127.0.0.1:1234"), {}) == Node(0, 2, "127.0.0.1", 1234)
    # Of the block that is kept for documentation: nobody owns it.
    assert this_node(TrainerConfig(nnodes=2, rendezvous="192.0.2.1"), {}) == Node(1, 2, "192.0.2.1", 29500)


def test_of_three_the_others_must_be_told() -> None:
    config = TrainerConfig(nnodes=3, rendezvous="192.0.2.1")
    with pytest.raises(ConfigError, match=r"trainer\.node_rank: tell each of the 3 machines its number, 0 on 192"):
        this_node(config, {})


def test_nobody_knows_the_first_machine() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.rendezvous: 2 machines must know where machine 0 is"):
        this_node(TWO, {})
    with pytest.raises(ConfigError, match=r"no address is known of no-such-host\.invalid"):
        this_node(TrainerConfig(nnodes=2, rendezvous="no-such-host.invalid"), {})


def test_the_interface_towards_a_machine() -> None:
    assert interface_towards("127.0.0.1", 80) == "lo"
    assert interface_towards("127.0.0.1", 80) in {name for _, name in socket.if_nameindex()}
