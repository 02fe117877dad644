"""Bring a devnet up: EVM chain, contracts, validators, traders.

Rule: validators and chain start at the same time, because every address is known beforehand; `up`
says
that it is done only when every validator says that it is ready.
Spec: docs/reference/devnet.md (Start). Deviations: none.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from contracts.chain.anvil import find_anvil
from devnet.folders import EVM, Folder, Record, node_command, node_environment, write_folders
from devnet.limits import (
    CHAIN_S_MAX,
    CHAINS_MAX,
    CONFIRMATIONS_MAX,
    EPOCH_BLOCKS,
    EPOCH_BLOCKS_MAX,
    EPOCH_BLOCKS_MIN,
    READY_S_MAX,
    TRADERS_MAX,
    VALIDATORS_MAX,
    VALIDATORS_MIN,
)
from devnet.plan import ACCOUNTS, CHAIN_ID, COTI, EVM_BLOCK_MS, OWN_CHAINS, DevnetPlan, make_plan
from devnet.ports import PortBlock, allocate_ports, take_ports
from devnet.status import read_status
from primitives.errors import OperatorError, TransientError

TRADERS = "traders"
POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What `devnet up` was asked for."""

    validators: int = 4
    traders: int = 2
    seed: int = 1
    evm: str = "embedded"
    chains: int = 1
    confirmations: int = 1
    replay: str = ""
    speed: str = "1"
    epoch: int = EPOCH_BLOCKS  # heights; 0: one epoch without end


MADE_OF = ("validators", "seed", "evm", "epoch", "chains")  # fixed when a devnet is made


def keep_made(folder: Folder, wishes: Wishes, left_away: set[str]) -> Wishes:
    """Return wishes in which options that were left away say what the devnet was made with."""
    if not folder.exists():
        return wishes
    record = folder.load()
    return replace(wishes, **{name: getattr(record, name) for name in MADE_OF if name in left_away})


def validator_names(record: Record) -> tuple[str, ...]:
    """Return v0, v1, …"""
    return tuple(f"v{index}" for index in range(record.validators))


def prepare(folder: Folder, wishes: Wishes) -> tuple[Record, DevnetPlan]:
    """Make the devnet's files, or check that those on disk are what is wished. Raises
    OperatorError."""
    _verify(wishes)
    if folder.exists():
        record = folder.load()
        _verify_same(record, wishes, folder)
        if any(folder.processes.is_alive(name) for name in folder.processes.names()):
            raise OperatorError(
                f"a devnet runs in {folder.root} already",
                code="DEV004",
                fix="omnibazaar devnet status, or omnibazaar devnet down",
            )
        record = msgspec.structs.replace(
            record, traders=wishes.traders, replay=wishes.replay, speed=wishes.speed
        )
        if not take_ports(PortBlock(base=record.port_base), record.validators):
            record = _move_ports(folder, record)
        folder.save(record)
        return record, plan_of(record)
    ports = allocate_ports(wishes.validators)
    is_external = wishes.evm.startswith("http")
    record = Record(
        validators=wishes.validators,
        traders=wishes.traders,
        seed=wishes.seed,
        evm=wishes.evm,
        rpc=wishes.evm if is_external else f"http://127.0.0.1:{ports.evm}",
        chain_id=external_chain_id(wishes.evm) if is_external else CHAIN_ID,
        port_base=ports.base,
        genesis_time_ms=time.time_ns() // 1_000_000,
        replay=wishes.replay,
        speed=wishes.speed,
        epoch=wishes.epoch,
        chains=wishes.chains,
        confirmations=wishes.confirmations,
    )
    plan = plan_of(record)
    write_folders(folder, plan, record)
    folder.save(record)
    return record, plan


def _move_ports(folder: Folder, record: Record) -> Record:
    """Give a stopped devnet, whose ports somebody else took meanwhile, another block of them."""
    ports = allocate_ports(record.validators)
    is_ours = not record.evm.startswith("http")
    rpc = f"http://127.0.0.1:{ports.evm}" if is_ours else record.rpc
    record = msgspec.structs.replace(record, port_base=ports.base, rpc=rpc)
    write_folders(folder, plan_of(record), record)
    return record


def plan_of(record: Record) -> DevnetPlan:
    """Work the plan out again from what is on file."""
    return make_plan(
        validators=record.validators,
        seed=record.seed,
        ports=PortBlock(base=record.port_base),
        genesis_time_ms=record.genesis_time_ms,
        chain_id=record.chain_id,
        epoch=record.epoch,
        chains=record.chains,
        confirmations=record.confirmations,
        private=record.evm == COTI,
    )


def _verify(wishes: Wishes) -> None:
    if not VALIDATORS_MIN <= wishes.validators <= VALIDATORS_MAX:
        raise OperatorError(
            f"a devnet has {VALIDATORS_MIN} to {VALIDATORS_MAX} validators", exit_code=2
        )
    if wishes.epoch and not EPOCH_BLOCKS_MIN <= wishes.epoch <= EPOCH_BLOCKS_MAX:
        raise OperatorError(
            f"an epoch has {EPOCH_BLOCKS_MIN} to {EPOCH_BLOCKS_MAX} heights, or 0 for no end",
            exit_code=2,
        )
    if not 1 <= wishes.chains <= CHAINS_MAX:
        raise OperatorError(f"a devnet has 1 to {CHAINS_MAX} EVM chains", exit_code=2)
    if not 1 <= wishes.confirmations <= CONFIRMATIONS_MAX:
        raise OperatorError(f"a deposit has 1 to {CONFIRMATIONS_MAX} confirmations", exit_code=2)
    if wishes.chains > 1 and wishes.evm.startswith("http"):
        raise OperatorError("a devnet on somebody else's chain has this one only", exit_code=2)
    if not 0 <= wishes.traders <= TRADERS_MAX:
        raise OperatorError(f"a devnet has 0 to {TRADERS_MAX} traders", exit_code=2)
    if wishes.evm not in OWN_CHAINS and not wishes.evm.startswith("http"):
        raise OperatorError("--evm is embedded, coti, anvil or the URL of a chain", exit_code=2)
    if wishes.chains > 1 and wishes.evm == COTI:
        raise OperatorError("a devnet with private tokens has one EVM chain", exit_code=2)
    if wishes.replay and not Path(wishes.replay).is_dir():
        raise OperatorError(f"{wishes.replay} is no folder with recorded orders", exit_code=2)


def _verify_same(record: Record, wishes: Wishes, folder: Folder) -> None:
    if all(getattr(record, name) == getattr(wishes, name) for name in MADE_OF):
        return
    raise OperatorError(
        f"the devnet in {folder.root} was made with {record.validators} validators, seed "
        f"{record.seed}, evm {record.evm}, epoch {record.epoch}, {record.chains} chains",
        code="DEV005",
        fix="omnibazaar devnet reset to start over, or leave the options away to go on with it",
    )


def external_chain_id(url: str) -> int:
    """Ask a chain that is not ours for its id. Raises TransientError."""
    from contracts.rpc import HttpRpc
    from contracts.rpc_values import parse_quantity

    return parse_quantity(HttpRpc(url).call("eth_chainId"))


def start_all(folder: Folder, record: Record, plan: DevnetPlan) -> None:
    """Start everything and return when the contracts are there and the traders run."""
    for name in record.chain_names:
        start_chain(folder, record, name)
    zygote = start_zygote(folder, validator_names(record))
    try:
        if not record.deployed:
            for chain in range(record.chains):
                deploy_contracts(folder, record, plan, chain)
            folder.save(msgspec.structs.replace(record, deployed=True))
    finally:  # whatever happens, what was started is on file and can be stopped
        adopt_validators(folder, zygote)
    if record.traders:
        start_traders(folder)


def start_chain(folder: Folder, record: Record, name: str) -> None:
    """Start one of the EVM chains."""
    chain = record.chain_names.index(name)
    port = record.rpc_of(chain).rpartition(":")[2]
    if record.evm in ("embedded", COTI):
        command: tuple[str, ...] = (
            sys.executable, "-m", "contracts.chain",
            "--port", port,
            "--data-dir", str(folder.chain(name)),
            "--chain-id", str(record.chain_id + chain),
            "--block-ms", str(EVM_BLOCK_MS),
            "--accounts", str(ACCOUNTS),
            "--seed", str(record.seed),
            *(("--mpc",) if record.evm == COTI else ()),
        )  # fmt: skip
    else:
        command = (
            sys.executable, "-m", "devnet.anvil",
            "--port", port,
            "--data-dir", str(folder.chain(name)),
            "--chain-id", str(record.chain_id + chain),
            "--accounts", str(ACCOUNTS),
            "--seed", str(record.seed),
        )  # fmt: skip
        if find_anvil() is None:
            raise OperatorError(
                "anvil is not installed",
                code="DEV007",
                fix="npm install -g @foundry-rs/anvil, or leave --evm away",
            )
    if not folder.processes.is_alive(name):
        folder.processes.start(name, command, node_environment())


def start_zygote(folder: Folder, names: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start validators from one process that loads their code once."""
    processes = folder.processes
    processes.folder.mkdir(parents=True, exist_ok=True)
    processes.logs.mkdir(parents=True, exist_ok=True)
    places = [f"{name}={folder.data(name).root}" for name in names]
    return subprocess.Popen(
        [sys.executable, "-m", "devnet.zygote", str(processes.logs), *places],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=node_environment(),
    )


def adopt_validators(folder: Folder, zygote: subprocess.Popen[bytes]) -> None:
    """Record the validators that were forked. Raises TransientError."""
    output, _ = zygote.communicate()
    try:
        pids: dict[str, int] = json.loads(output)
    except ValueError:
        raise TransientError("the validators did not start; see the lines above") from None
    for name, pid in pids.items():
        folder.processes.adopt(name, pid, node_command(folder.data(name)))


def start_validators(folder: Folder, names: Sequence[str]) -> None:
    """Start validators that are down, several from one process. Raises TransientError."""
    if len(names) > 1:
        adopt_validators(folder, start_zygote(folder, names))
    elif names:
        command = node_command(folder.data(names[0]))
        folder.processes.start(names[0], command, node_environment())


def start_traders(folder: Folder) -> None:
    """Start the demo traders."""
    command = (sys.executable, "-m", "devnet.traders", "--folder", str(folder.root))
    folder.processes.start(TRADERS, command, node_environment())


def deploy_contracts(folder: Folder, record: Record, plan: DevnetPlan, chain: int) -> None:
    """Deploy the contracts where the network file says they are. Raises TransientError."""
    from contracts.deployment import deploy
    from contracts.evm_web3 import connect
    from devnet.funding import deploy_private

    deadline = time.monotonic() + CHAIN_S_MAX
    while True:
        try:
            web3 = connect(record.rpc_of(chain), record.chain_id + chain)
            web3.eth.get_block("latest")
            break
        except Exception as error:
            names = record.chain_names
            has_ended = bool(names) and not folder.processes.is_alive(names[chain])
            if has_ended or time.monotonic() > deadline:
                raise TransientError(f"the EVM chain does not answer: {error}") from error
            time.sleep(POLL_S)
    planned = plan.deployments[chain]
    deployment = deploy(web3, plan.deployment_plan, plan.deployer, chain_id=record.chain_id + chain)
    assert deployment == planned, "contracts lie where the network file says"
    if plan.private is not None:
        deploy_private(record, plan)


def wait_ready(folder: Folder, record: Record) -> None:
    """Return when every validator is ready. Raises OperatorError that names those that are not."""
    deadline = time.monotonic() + READY_S_MAX
    while True:
        status = read_status(folder, record)
        waiting = [v.name for v in status.validators if not v.ready]
        needed = [*waiting, *record.chain_names]
        dead = [name for name in needed if not folder.processes.is_alive(name)]
        if not waiting and not dead:
            return
        if dead or time.monotonic() > deadline:
            names = ", ".join(dead or waiting)
            raise OperatorError(
                f"{names} {'ended' if dead else f'not ready within {READY_S_MAX} s'}",
                code="DEV006",
                fix=f"omnibazaar devnet logs {(dead or waiting)[0]}",
                exit_code=7,
            )
        time.sleep(POLL_S)


def stop_all(folder: Folder) -> None:
    """End all processes, the chain last."""
    names = folder.processes.names()
    last = [name for name in names if name.startswith(EVM)]
    for group in ([name for name in names if name not in last], last):
        for name in group:
            folder.processes.ask_to_stop(name)  # once: a second signal would cut the stop short
        for name in group:
            folder.processes.finish(name)


def reset(folder: Folder) -> None:
    """Stop everything and delete the devnet's folder."""
    if folder.root.is_dir() and not folder.exists() and any(folder.root.iterdir()):
        raise OperatorError(
            f"{folder.root} is not a devnet; nothing was deleted", code="DEV003", fix="look at it"
        )
    stop_all(folder)
    shutil.rmtree(folder.root, ignore_errors=True)
