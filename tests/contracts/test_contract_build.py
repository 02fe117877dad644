"""The committed artifacts are what the sources compile to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import build
from contracts.artifact import error_names, load_artifact, selectors, topics
from contracts.chain.anvil import find_anvil
from contracts.limits import CODE_SIZE_MAX_BYTES, HEADERS_MAX, MEMBERS_MAX

SOURCES = sorted([*build.SOURCES.rglob("*.sol"), *build.COTI_SOURCES.rglob("*.sol")])


@pytest.mark.parametrize("name", sorted(build.committed()))
def test_code_fits_and_runs_at_paris(name: str) -> None:
    code = load_artifact(name).deployed_bytecode
    assert 0 < len(code) <= CODE_SIZE_MAX_BYTES
    build.verify_code(name, code)


def test_instructions_beyond_paris_are_found() -> None:
    with pytest.raises(build.BuildError, match="PUSH0 at 2"):
        build.verify_code("x", bytes.fromhex("605f5f"))
    build.verify_code("data after PUSH is no code", bytes.fromhex("615f5e00"))
    with pytest.raises(build.BuildError, match="bytes of code"):
        build.verify_code("x", bytes(CODE_SIZE_MAX_BYTES + 1))


def test_wrong_compiler_is_refused(tmp_path: Path) -> None:
    for package, version in build.PACKAGES.items():
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "package.json").write_text(f'{{"version": "{version}"}}')
    (tmp_path / "solc" / "soljson.js").write_text("not the compiler")
    with pytest.raises(build.BuildError, match="digest"):
        build.verify_packages(tmp_path)
    (tmp_path / "solc" / "package.json").write_text('{"version": "0.8.29"}')
    with pytest.raises(build.BuildError, match=r"0\.8\.29"):
        build.verify_packages(tmp_path)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_public_name_is_documented(path: Path) -> None:
    """Each function, event, error, struct and public variable has a NatSpec comment before it."""
    lines = path.read_text().splitlines()
    starts = (
        "function ",
        "event ",
        "error ",
        "struct ",
        "enum ",
        "constructor",
        "contract ",
        "library ",
        "mapping(",
        "uint",
        "address public",
        "bytes32 public",
        "bytes public",
        "bool public",
        "Mode public",
    )
    inside = False
    for number, line in enumerate(lines):
        text = line.strip()
        public = text.startswith(starts) and " private" not in text and line[:8] != " " * 8
        if (
            public
            and not inside
            and text.endswith(("{", ";", "("))
            and "internal constant" not in text
        ):
            before = lines[number - 1].strip()
            own = path.parent.name == "test" and text.startswith("constructor() ")
            assert before.startswith("///") or own, f"{path.name}:{number + 1} {text}"
        if text.startswith(("struct ", "enum ")):
            inside = True
        if inside and text == "}":
            inside = False


def test_limits_equal_the_contracts() -> None:
    source = (build.SOURCES / "Finality.sol").read_text()
    assert f"HEADERS_MAX = {HEADERS_MAX};" in source
    assert f"MEMBERS_MAX = {MEMBERS_MAX};" in source


def test_selectors_topics_and_errors_are_known() -> None:
    assert selectors("TestToken")["transfer"].hex() == "a9059cbb"
    assert topics("TestToken")["Transfer"].hex().startswith("ddf252ad")
    assert error_names("Settlement")[bytes.fromhex("d92e233d")] == "ZeroAddress"
    assert len(error_names("Settlement")) >= 20


def test_daemon_modules_do_not_import_web3() -> None:
    """Importing web3 costs 39 MB (ADR 0060)."""
    code = (
        "import sys, contracts.settlement_client, contracts.transactor, contracts.rpc;"
        "sys.exit(any(name.split('.')[0] in ('web3', 'eth_account', 'eth_abi', 'eth')"
        " for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


REVERTS_OF_LIBRARIES = {
    # Raised by OpenZeppelin inside calls that the named tests provoke.
    "ECDSAInvalidSignature", "ECDSAInvalidSignatureS", "SafeERC20FailedOperation",
    "ReentrancyGuardReentrantCall",
}  # fmt: skip


@pytest.mark.parametrize("name", ["Settlement", "FeeDistributor", "ValidatorRegistry"])
def test_every_revert_reason_has_a_test(name: str) -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_va*.py"))
    tests += (Path(__file__).parent / "test_contract_deployment.py").read_text()
    for reason in set(error_names(name).values()) - REVERTS_OF_LIBRARIES:
        assert f'"{reason}"' in tests or reason == "ZeroAddress", reason


def test_every_revert_reason_of_the_private_door_has_a_test() -> None:
    text = (Path(__file__).parent / "test_confidential_vault.py").read_text()
    inherited = set(REVERTS_OF_LIBRARIES)
    for reason in set(error_names("ConfidentialVault").values()) - inherited:
        assert f'"{reason}"' in text, reason


def test_ci_installs_the_pinned_packages() -> None:
    """The one other place that names versions, for CI's cache, names the same."""
    script = (Path(build.__file__).parents[1] / ".ci" / "run").read_text()
    for package, version in build.PACKAGES.items():
        assert f"{package}@{version} " in script


def test_ci_runs_the_contracts_on_both_chains() -> None:
    assert find_anvil() is not None or os.environ.get("CI") != "true"
