"""The whole model: ledger, vaults, registry, coin and distributors on one set of cells.

Rule: it knows nothing of the contracts' code; it is asked before the chain is.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from contracts.settlement_types import FeeTotal
from tests.contracts.stateful.book import Book, Deposit, Root
from tests.contracts.stateful.cells import Cells, require
from tests.contracts.stateful.proofs import ZERO
from tests.contracts.stateful.registry import Registry
from tests.contracts.stateful.scene import UNLISTED, XOM_SUPPLY, Scene
from tests.contracts.stateful.vault import TREASURIES, YEAR, Vault


class Model:
    """What must be true of a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.cells = Cells()
        self.cells.load(scene.image)
        self.coins = scene.coins(self.cells)
        self.book = Book(scene)
        self.vaults = [Vault(self, address) for address in scene.vaults]
        self.registry = Registry(self)
        self.roots: dict[int, Root] = {}
        self.records: list[Deposit] = []
        self.lie = ZERO
        for vault in self.vaults:
            for symbol, token in scene.tokens.items():
                vault.put(int(symbol != UNLISTED), "listed", token)
                vault.put(int(symbol != UNLISTED), "known", token)

    # --- vaults --------------------------------------------------------------------------------

    def place_of(self, address: bytes) -> int:
        """How the cells name a possible successor; zero stands for none."""
        return [*self.scene.vaults, self.scene.liar].index(address) + 1

    def vault_at(self, place: int) -> Vault | None:
        """The vault at a place; None for the liar."""
        return self.vaults[place - 1] if place <= len(self.vaults) else None

    def successors(self, vault: Vault) -> set[bytes]:
        """Contracts that may be announced."""
        return {*self.scene.vaults, self.scene.liar} - {vault.address}

    # --- the coin ------------------------------------------------------------------------------

    @property
    def minter(self) -> bytes:
        """Who may mint rewards."""
        return [*self.scene.vaults, self.scene.liar][self.cells.get("minter")]

    def mintable(self) -> int:
        """What may be minted now."""
        elapsed = self.scene.ground.now - self.scene.coin_started_at
        return XOM_SUPPLY * 2 * elapsed // (100 * YEAR) - self.cells.get("minted")

    def follow_minter(self) -> None:
        """Let the successor mint."""
        minter = self.cells.get("minter")
        require(minter < len(self.vaults), "?")  # the liar names no successor
        vault = self.vaults[minter]
        place = vault.get("successor")
        in_time = self.scene.ground.now >= vault.get("successor at")
        require(bool(place) and in_time, "NoSuccessor")
        self.cells.put(place - 1, "minter")

    # --- treasuries ----------------------------------------------------------------------------

    def claim_fees(self, vault: Vault, which: int, token: bytes) -> None:
        """Pay a treasury what it has."""
        distributor = vault.distributor
        with self.cells.guard(distributor):
            amount = self.cells.get(distributor, "claimable", which, token)
            require(amount != 0, "NothingToClaim")
            self.cells.put(0, distributor, "claimable", which, token)
            self.cells.add(-amount, distributor, "unclaimed", token)
            self.coins.send(token, distributor, self.treasury(vault, which), amount)

    def treasury(self, vault: Vault, which: int) -> bytes:
        """Who is paid; the cells name a treasury by its place plus one, zero is the first."""
        place = self.cells.get(vault.distributor, "treasury", which)
        return TREASURIES[place - 1 if place else which]

    def propose_treasury(self, vault: Vault, sender: bytes, which: int, following: bytes) -> None:
        """Name who may take a seat over, or nobody any more."""
        require(sender == self.treasury(vault, which), "OnlyTreasury")
        place = TREASURIES.index(following) + 1 if following in TREASURIES else 0
        self.cells.put(place, vault.distributor, "named", which)

    def accept_treasury(self, vault: Vault, sender: bytes, which: int) -> None:
        """Take a seat over."""
        place = self.cells.get(vault.distributor, "named", which)
        require(bool(place) and TREASURIES[place - 1] == sender, "OnlyTreasury")
        self.cells.put(place, vault.distributor, "treasury", which)
        self.cells.put(0, vault.distributor, "named", which)

    # --- ledger --------------------------------------------------------------------------------

    def new_root(self) -> Root:
        """The ledger's next root, known to the model."""
        root = self.book.root()
        self.roots[root.height] = root
        return root

    def fees(self, root: Root) -> tuple[FeeTotal, ...]:
        """Totals that belong to a root."""
        return root.fees
