"""Compile the Solidity sources into the committed artifacts, or check that they still match.

Rule: artifacts are a pure function of the sources, the exact compiler and the exact library
versions named here; running a node or a test never compiles anything.

    python -m contracts.build            # rewrite contracts/artifacts/*.json
    python -m contracts.build --check    # recompile and fail on any difference

Needs node and npm. The npm packages are installed with their exact versions into a temporary
directory; OMNIBAZAAR_NODE_MODULES names a directory that holds them already.

Spec: docs/spec/settlement.md §11
Deviations: none
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts.limits import CODE_SIZE_MAX_BYTES, COMPILE_SECONDS_MAX, NPM_INSTALL_SECONDS_MAX

SOLC_VERSION = "0.8.28"
OPENZEPPELIN_VERSION = "5.3.0"
COTI_VERSION = "1.0.2"
PACKAGES = {
    "solc": SOLC_VERSION,
    "@openzeppelin/contracts": OPENZEPPELIN_VERSION,
    "@coti-io/coti-contracts": COTI_VERSION,
}
SOLJSON_SHA256 = "9ef37cc1d2597ed6d2f706a960f449e33eb9eee920936cea77b11e6f43861970"
"""Digest of the compiler itself, solc/soljson.js; another one is refused."""

EVM_VERSION = "paris"
SOURCES = Path(__file__).parent / "solidity"
COTI_SOURCES = Path(__file__).parent / "solidity_coti"
"""Compiled by themselves, because only they need COTI's library, which takes long to compile."""
ARTIFACTS = Path(__file__).parent / "artifacts"
COMPILE_SCRIPT = Path(__file__).parent / "compile.js"
MODULES_VARIABLE = "OMNIBAZAAR_NODE_MODULES"

IMPORT = re.compile(r'^import\s[^;]*?"([^"]+)";', re.MULTILINE)
PUSH1, PUSH32 = 0x60, 0x7F
NOT_IN_PARIS = {0x5F: "PUSH0", 0x5C: "TLOAD", 0x5D: "TSTORE", 0x5E: "MCOPY", 0x49: "BLOBHASH"}
OUTPUTS = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"]


EXIT_FAILED = 1
EXIT_NO_PACKAGES = 2
"""Exit code when the compiler or the library cannot be had: nothing was checked."""


class BuildError(Exception):
    """The sources do not compile to something that may be deployed."""


class PackagesMissing(BuildError):
    """node, npm or the npm registry are not there."""


@contextmanager
def node_modules() -> Iterator[Path]:
    """Yield a node_modules directory with the exact packages; raises BuildError."""
    given = os.environ.get(MODULES_VARIABLE)
    if given:
        yield Path(given)
        return
    npm = shutil.which("npm")
    if npm is None:
        raise PackagesMissing("npm is not installed")
    with tempfile.TemporaryDirectory(prefix="omnibazaar-build-") as directory:
        packages = [f"{package}@{version}" for package, version in PACKAGES.items()]
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]
        command = [npm, "install", "--prefix", directory, *flags, "--save-exact", *packages]
        try:
            subprocess.run(command, check=True, timeout=NPM_INSTALL_SECONDS_MAX)
        except subprocess.SubprocessError as error:
            raise PackagesMissing(f"npm cannot install {' '.join(packages)}: {error}") from error
        yield Path(directory) / "node_modules"


def verify_packages(modules: Path) -> None:
    """Raise BuildError unless the compiler and the library are the pinned ones."""
    for package, version in PACKAGES.items():
        found = json.loads((modules / package / "package.json").read_text())["version"]
        if found != version:
            raise BuildError(f"{package} is {found}, not {version}")
    digest = hashlib.sha256((modules / "solc" / "soljson.js").read_bytes()).hexdigest()
    if digest != SOLJSON_SHA256:
        raise BuildError(f"solc/soljson.js has the digest {digest}, not {SOLJSON_SHA256}")


def collect_sources(modules: Path, folder: Path = SOURCES, root: Path = SOURCES) -> dict[str, str]:
    """Return every source by its import name: those of a folder and all that they import."""
    pending = [path.relative_to(root).as_posix() for path in folder.rglob("*.sol")]
    sources: dict[str, str] = {}
    while pending:
        name = pending.pop()
        if name in sources:
            continue
        path = modules / name if name.startswith("@") else root / name
        sources[name] = path.read_text()
        pending.extend(_resolve(name, target) for target in IMPORT.findall(sources[name]))
    return dict(sorted(sources.items()))


def _resolve(importer: str, target: str) -> str:
    """Name of an imported source, with relative paths resolved against the importer."""
    if not target.startswith("."):
        return target
    return os.path.normpath(os.path.join(os.path.dirname(importer), target)).replace(os.sep, "/")


def compiler_input(sources: dict[str, str]) -> bytes:
    """Return the canonical standard-JSON input."""
    settings = {
        "evmVersion": EVM_VERSION,
        "optimizer": {"enabled": True, "runs": 200},
        "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
        "outputSelection": {"*": {"*": OUTPUTS}},
    }
    document = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": settings,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def compile_sources(modules: Path, document: bytes) -> dict[str, Any]:
    """Run the compiler; raises BuildError with its messages on any error or warning of ours."""
    node = shutil.which("node")
    if node is None:
        raise PackagesMissing("node is not installed")
    run = subprocess.run(
        [node, str(COMPILE_SCRIPT), str(modules)],
        input=document,
        capture_output=True,
        timeout=COMPILE_SECONDS_MAX,
        check=False,
    )
    if run.returncode != 0:
        raise BuildError(run.stderr.decode(errors="replace"))
    output: dict[str, Any] = json.loads(run.stdout)
    problems = [
        problem["formattedMessage"]
        for problem in output.get("errors", [])
        if problem["severity"] == "error"
        or not problem.get("sourceLocation", {}).get("file", "").startswith("@")
    ]
    if problems:
        raise BuildError("\n".join(problems))
    return output


def verify_code(name: str, deployed: bytes) -> None:
    """Raise BuildError if code is too large or uses an instruction that Paris lacks."""
    if len(deployed) > CODE_SIZE_MAX_BYTES:
        raise BuildError(f"{name} has {len(deployed)} bytes of code")
    position = 0
    while position < len(deployed):
        operation = deployed[position]
        if operation in NOT_IN_PARIS:
            raise BuildError(f"{name} uses {NOT_IN_PARIS[operation]} at {position}")
        if PUSH1 <= operation <= PUSH32:
            position += operation - PUSH1 + 1
        position += 1


def make_artifacts(output: dict[str, Any], document: bytes, prefix: str = "") -> dict[str, str]:
    """Return the text of each artifact file by contract name, of sources with a prefix."""
    artifacts: dict[str, str] = {}
    for source, contracts in output["contracts"].items():
        if source.startswith("@") or not source.startswith(prefix):
            continue
        for name, contract in contracts.items():
            if _is_contract(contract):
                artifacts[name] = _artifact(name, source, contract, document)
    return artifacts


def _is_contract(contract: dict[str, Any]) -> bool:
    """Whether it can be deployed and offers functions: no interface, abstract or inner library."""
    has_code = bool(contract["evm"]["bytecode"]["object"])
    return has_code and any(entry["type"] == "function" for entry in contract["abi"])


def _artifact(name: str, source: str, contract: dict[str, Any], document: bytes) -> str:
    """The JSON text of one artifact; storage types keep no compiler-internal numbers."""
    deployed = contract["evm"]["deployedBytecode"]["object"]
    verify_code(name, bytes.fromhex(deployed))
    layout = [
        {
            "label": slot["label"],
            "slot": int(slot["slot"]),
            "offset": slot["offset"],
            "type": re.sub(r"\)\d+_", ")_", slot["type"]),
        }
        for slot in contract["storageLayout"]["storage"]
    ]
    record = {
        "name": name,
        "source": source,
        "compiler": f"solc {SOLC_VERSION}, {EVM_VERSION}, optimizer 200",
        "input_sha256": hashlib.sha256(document).hexdigest(),
        "abi": contract["abi"],
        "bytecode": "0x" + contract["evm"]["bytecode"]["object"],
        "deployed_bytecode": "0x" + deployed,
        "storage_layout": layout,
    }
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def build() -> dict[str, str]:
    """Compile everything and return the artifacts; raises BuildError."""
    with node_modules() as modules:
        verify_packages(modules)
        document = compiler_input(collect_sources(modules))
        built = make_artifacts(compile_sources(modules, document), document)
        document = compiler_input(collect_sources(modules, COTI_SOURCES, COTI_SOURCES.parent))
        prefix = f"{COTI_SOURCES.name}/"
        return built | make_artifacts(compile_sources(modules, document), document, prefix)


def committed() -> dict[str, str]:
    """Return the artifacts as they are in the repository."""
    return {path.stem: path.read_text() for path in ARTIFACTS.glob("*.json")}


def main(arguments: list[str] | None = None) -> int:
    """Build or check; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m contracts.build")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args(arguments)
    try:
        built = build()
    except PackagesMissing as error:
        print(f"nothing was built: {error}", file=sys.stderr)
        return EXIT_NO_PACKAGES
    except (BuildError, subprocess.SubprocessError, OSError) as error:
        print(f"build failed: {error}", file=sys.stderr)
        return EXIT_FAILED
    if options.check:
        current = committed()
        names = sorted(set(built) | set(current))
        different = [name for name in names if built.get(name) != current.get(name)]
        for name in different:
            print(f"contracts/artifacts/{name}.json differs from its source", file=sys.stderr)
        return EXIT_FAILED if different else 0
    for stale in set(committed()) - set(built):
        (ARTIFACTS / f"{stale}.json").unlink()
    ARTIFACTS.mkdir(exist_ok=True)
    for name, text in sorted(built.items()):
        (ARTIFACTS / f"{name}.json").write_text(text)
        size = len(json.loads(text)["deployed_bytecode"]) // 2 - 1
        print(f"{name}: {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
