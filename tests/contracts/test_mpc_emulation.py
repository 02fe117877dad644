"""The emulated precompile keeps to the published meanings, also where they surprise."""

from __future__ import annotations

import pytest

from contracts.chain.mpc_operations import GAS, OPERATIONS
from contracts.chain.mpc_values import MPC_ADDRESS, U8, U64, user_key
from contracts.confidential_cipher import decrypt_block
from contracts.errors import RpcRefused
from contracts.rpc_values import data, parse_data, quantity
from primitives.keccak import keccak256
from tests.contracts.harness import TRADER, Evm, embedded_evm

BOOL = 0


class Ref:
    """A word of what an earlier step returned."""

    def __init__(self, step: int, word: int = 0) -> None:
        self.at = 0x60 * step + 0x20 * word


Step = tuple[str, list["int | Ref"]]


def selector_of(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


def meta(*parts: int) -> int:
    """Types and form of the operands, packed."""
    return int.from_bytes(bytes(parts).ljust(32, b"\0"), "big")


def program(*steps: Step) -> bytes:
    """EVM code that calls the precompile in order and returns the last answer's first word."""

    def push(value: int, size: int = 32) -> bytes:
        return bytes([0x5F + size]) + value.to_bytes(size, "big")

    code, base = b"", 0x1000
    for number, (signature, arguments) in enumerate(steps):
        selector = int.from_bytes(selector_of(signature), "big") << 224
        code += push(selector) + push(base, 2) + b"\x52"
        for place, argument in enumerate(arguments):
            word = push(argument.at, 2) + b"\x51" if isinstance(argument, Ref) else push(argument)
            code += word + push(base + 4 + 32 * place, 2) + b"\x52"
        code += push(0x60, 1) + push(0x60 * number, 2) + push(4 + 32 * len(arguments), 2)
        code += push(base, 2) + push(0, 1) + push(0x64, 1) + b"\x5a\xf1"
        code += push(len(code) + 9, 2) + b"\x57" + push(0, 1) + push(0, 1) + b"\xfd" + b"\x5b"
    return code + push(0x20, 1) + push(0x60 * (len(steps) - 1), 2) + b"\xf3"


@pytest.fixture(scope="module")
def chain() -> Evm:
    return embedded_evm(mpc=True)


def run(chain: Evm, *steps: Step, request: bytes = b"") -> int:
    """Run a program as the constructor of a contract: its answer would be the code."""
    message = {"from": data(TRADER.address), "data": data(program(*steps)), "gas": quantity(10**7)}
    return int.from_bytes(parse_data(chain.rpc.call("eth_call", message, "latest")), "big")


SET, SHOW = "SetPublic(bytes1,uint256)", "Decrypt(bytes1,uint256)"
MUX = "Mux(bytes3,uint256,uint256,uint256)"


def number(value: int, kind: int = U64) -> Step:
    return SET, [meta(kind), value]


@pytest.mark.parametrize(
    ("name", "a", "b", "expected"),
    [
        ("Add", 2**64 - 1, 2, 1),
        ("Sub", 1, 2, 2**64 - 1),
        ("Mul", 2**63, 2, 0),
        ("Div", 7, 2, 3),
        ("Div", 7, 0, 2**64 - 1),
        ("Rem", 7, 4, 3),
        ("Rem", 7, 0, 7),
        ("And", 12, 10, 8),
        ("Or", 12, 10, 14),
        ("Xor", 12, 10, 6),
        ("Min", 3, 4, 3),
        ("Max", 3, 4, 4),
        ("Eq", 3, 3, 1),
        ("Ne", 3, 3, 0),
        ("Ge", 3, 3, 1),
        ("Gt", 3, 3, 0),
        ("Le", 4, 3, 0),
        ("Lt", 2, 3, 1),
    ],
)
def test_operations_wrap_and_compare(chain: Evm, name: str, a: int, b: int, expected: int) -> None:
    signature = f"{name}(bytes3,uint256,uint256)"
    steps = number(a), number(b), (signature, [meta(U64, U64, 0), Ref(0), Ref(1)])
    assert run(chain, *steps, (SHOW, [meta(U64), Ref(2)])) == expected
    plain = number(a), (signature, [meta(U64, U64, 2), Ref(0), b])
    assert run(chain, *plain, (SHOW, [meta(U64), Ref(1)])) == expected
    plain = number(b), (signature, [meta(U64, U64, 1), a, Ref(0)])
    assert run(chain, *plain, (SHOW, [meta(U64), Ref(1)])) == expected


@pytest.mark.parametrize(("bit", "expected"), [(0, 250), (1, 7)])
def test_mux_is_the_second_value_if_the_bit_is_set(chain: Evm, bit: int, expected: int) -> None:
    steps = number(250, U8), number(7, U8), number(bit, BOOL)
    chosen = (MUX, [meta(U8, U8, 0), Ref(2), Ref(0), Ref(1)])
    assert run(chain, *steps, chosen, (SHOW, [meta(U8), Ref(3)])) == expected


@pytest.mark.parametrize(("amount", "left", "right", "done"), [(4, 1, 7, 1), (6, 5, 3, 0)])
def test_a_transfer_of_too_much_moves_nothing(
    chain: Evm, amount: int, left: int, right: int, done: int
) -> None:
    steps = number(5), number(3), number(amount)
    moved = (
        "Transfer(bytes4,uint256,uint256,uint256)",
        [meta(U64, U64, U64, 0), Ref(0), Ref(1), Ref(2)],
    )
    for word, expected in enumerate((left, right, done)):
        assert run(chain, *steps, moved, (SHOW, [meta(U64), Ref(3, word)])) == expected


def test_checked_operations_tell_overflows(chain: Evm) -> None:
    signature = "CheckedAdd(bytes3,uint256,uint256)"
    steps = number(2**64 - 1), (signature, [meta(U64, U64, 2), Ref(0), 1])
    assert run(chain, *steps, (SHOW, [meta(BOOL), Ref(1)])) == 1
    assert run(chain, *steps, (SHOW, [meta(U64), Ref(1, 1)])) == 0


def test_a_contract_takes_back_what_was_encrypted_for_it(chain: Evm) -> None:
    kept = ("OffBoard(bytes1,uint256)", [meta(U64), Ref(0)])
    back = ("OnBoard(bytes1,uint256)", [meta(U64), Ref(1)])
    assert run(chain, number(99), kept, back, (SHOW, [meta(U64), Ref(2)])) == 99


def test_a_value_for_a_user_is_under_its_key(chain: Evm) -> None:
    owner = int.from_bytes(TRADER.address.ljust(32, b"\0"), "big")
    shown = ("OffBoardToUser(bytes1,uint256,bytes)", [meta(U64), Ref(0), 0x60, 20, owner])
    ciphertext = run(chain, number(99), shown)
    assert decrypt_block(user_key(TRADER.address), ciphertext) == 99
    taken = ("OnBoard(bytes1,uint256)", [meta(U64), ciphertext])
    with pytest.raises(RpcRefused):
        run(chain, taken)  # nobody's storage


@pytest.mark.parametrize(
    "step",
    [
        (SHOW, [meta(U64), 12_345]),
        ("OnBoard(bytes1,uint256)", [meta(U64), 0]),
        (SET, [meta(99), 1]),
        (SET, [meta(U64)]),
        ("Unknown(uint256)", [1]),
        ("OffBoardToUser(bytes1,uint256,bytes)", [meta(U64), 1, 2**255, 20]),
        ("GetUserKey(bytes)", [0x20, 3, 0]),
        ("ValidateCiphertext(bytes1,uint256,bytes)", [meta(U64), 1, 0x60, 65, 0, 0, 0]),
    ],
)
def test_whatever_is_asked_wrongly_reverts_without_a_reason(chain: Evm, step: Step) -> None:
    with pytest.raises(RpcRefused):
        run(chain, step)


def test_a_handle_is_unknown_in_the_next_transaction(chain: Evm) -> None:
    handle = run(chain, number(5))
    with pytest.raises(RpcRefused):
        run(chain, (SHOW, [meta(U64), handle]))


def test_selectors_are_the_published_ones_and_gas_is_charged(chain: Evm) -> None:
    published = {
        "OnBoard": "d2c135e5", "OffBoard": "c50c9c02", "OffBoardToUser": "3c6f0e68",
        "SetPublic": "d9b60b60", "Add": "8c5d0150", "Sub": "371d1bf2", "Eq": "7c12a1eb",
        "Lt": "dd148693", "Or": "fb7da35f", "Mux": "20cc408d", "Transfer": "56c72d28",
        "ValidateCiphertext": "e4f36e10", "GetUserKey": "a85f0ca2", "Decrypt": "0cfed561",
    }  # fmt: skip
    known = {name: selector.hex() for selector, (name, _, _) in OPERATIONS.items()}
    assert {name: known[name] for name in published} == published
    message = {"from": data(TRADER.address), "data": data(program(number(5)))}
    used = int(chain.rpc.call("eth_estimateGas", message), 16)
    assert used > 53_000 + GAS["SetPublic"]


def test_a_plain_chain_has_no_precompile() -> None:
    plain = embedded_evm()
    assert plain.rpc.call("eth_getCode", data(MPC_ADDRESS), "latest") == "0x"
    message = {"from": data(TRADER.address), "data": data(program(number(5)))}
    assert int.from_bytes(parse_data(plain.rpc.call("eth_call", message, "latest")), "big") == 0
