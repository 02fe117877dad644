// Validators, settlement and chat.

import { find, ipfsLink, make, setText } from "./dom.js";
import { amount, clock, count, short } from "./format.js";

export function drawValidators(list, validators) {
  while (list.children.length > validators.length) list.lastChild.remove();
  validators.forEach((seat, place) => {
    const item = list.children[place] ?? list.appendChild(makeSeat());
    const [who, bar, figures] = item.children;
    item.classList.toggle("away", !seat.connected);
    setText(who.children[0], seat.name || `Seat ${seat.index}`);
    who.children[1].hidden = !seat.is_self;
    setText(who.children[2], short(seat.address));
    who.children[2].title = seat.address;
    const share = seat.votes_possible ? seat.votes / seat.votes_possible : 0;
    bar.firstChild.style.setProperty("--share", String(share));
    bar.title = `${seat.votes} of ${seat.votes_possible} final certificates carry its vote`;
    setText(figures.children[0], `${(share * 100).toFixed(0)} % of certificates`);
    setText(figures.children[1], `${count(seat.proposed)} blocks`);
    figures.children[2].title = describeScore(seat);
    setText(figures.children[2], seat.connected ? `score ${seat.score}` : "away");
  });
}

const PARTS = ["production", "uptime", "trading", "chat", "storage"];

function describeScore(seat) {
  const parts = seat.parts.map((percent, part) => {
    const text = percent === null ? "left out" : `${percent} %`;
    return `${PARTS[part]} ${text}`;
  });
  return [`Score ${seat.score} of 100, weight ${seat.weight}`, ...parts].join("\n");
}

function makeSeat() {
  return make(
    "li",
    { class: "seat" },
    make("div", { class: "who" }, make("span"), make("span", { class: "you" }, "this node"), make("code")),
    make("div", { class: "bar" }, make("i")),
    make("div", { class: "figures" }, make("span"), make("span"), make("span")),
  );
}

const SHARES = ["validators", "company", "development"];

/** Fees as settled on chain; what the ledger has charged since then waits for a checkpoint. */
export function drawSettlement(settlement, assets) {
  const vault = settlement.vaults[0];
  const facts = [
    ["Checkpoints", count(settlement.checkpoints)],
    ["Settled height", count(settlement.height)],
    ["Withdrawals", count(settlement.withdrawals)],
    ...(vault ? [["Deposits", count(vault.deposits)], [`EVM chain ${vault.chain_id}`, vault.online ? `block ${count(vault.block)}` : "away"]] : []),
  ];
  find("settlement-facts").replaceChildren(...facts.map(([label, value]) => make("span", {}, `${label} `, make("b", {}, value))));
  const charged = settlement.ledger_fees.filter((fee) => BigInt(fee.total) > 0n);
  const settled = new Map(settlement.fees.map((fee) => [fee.asset, fee]));
  find("fees").replaceChildren(...charged.map((fee) => makeFee(fee, settled.get(fee.asset), assets.get(fee.asset))));
  find("checkpoints").replaceChildren(...settlement.recent.slice(0, 6).map(makeCheckpoint));
  if (!settlement.recent.length) find("checkpoints").append(make("li", {}, "none yet"));
}

function makeFee(fee, settled, asset) {
  const decimals = asset?.decimals ?? 0;
  const write = (atoms) => amount(atoms, decimals, fee.total);
  const bar = make("div", { class: "split", role: "img", "aria-label": "70, 20 and 10 per cent" });
  for (const share of SHARES) {
    const part = Number((BigInt(fee[share]) * 1_000_000n) / BigInt(fee.total));
    bar.append(make("i", { class: share, "--part": String(part / 1_000_000) }));
  }
  const shares = make("div", { class: "shares" }, ...SHARES.map((share) => make("span", { title: share }, write(fee[share]))));
  const onChain = settled ? `${write(settled.total)} on chain` : "not on chain yet";
  return make(
    "div",
    { class: "fee" },
    make("div", { class: "total" }, make("span", {}, fee.symbol), make("span", { class: "settled" }, onChain), make("b", {}, write(fee.total))),
    bar,
    shares,
  );
}

function makeCheckpoint(checkpoint) {
  return make(
    "li",
    {},
    make("b", {}, count(checkpoint.height)),
    ipfsLink(checkpoint.cid, 7, 5),
    make("span", { class: "state accepted", title: `transaction ${checkpoint.tx}` }, `EVM block ${count(checkpoint.evm_block)}`),
  );
}

export class Chat {
  constructor(list, select, onRoom) {
    this.list = list;
    this.select = select;
    this.seen = new Set();
    select.addEventListener("change", () => onRoom(select.value));
  }

  setRooms(rooms, chosen) {
    this.select.replaceChildren(...rooms.map((room) => make("option", { value: room.name }, room.title)));
    this.select.value = chosen;
    this.choose(chosen);
  }

  choose(room) {
    this.seen.clear();
    this.showNone();
    setText(find("chat-hint"), `Write: omnibazaar chat send ${room} "…"`);
  }

  /** Add messages, oldest first. */
  update(messages, isSnapshot) {
    if (isSnapshot) {
      this.seen.clear();
      this.list.replaceChildren();
    }
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 60;
    for (const message of messages) {
      if (this.seen.has(message.id)) continue;
      if (this.seen.size === 0) this.list.replaceChildren();
      this.seen.add(message.id);
      this.list.append(this.makeItem(message));
    }
    while (this.list.children.length > 200) this.list.firstChild.remove();
    if (this.seen.size === 0) this.showNone();
    if (atEnd || isSnapshot) this.list.scrollTop = this.list.scrollHeight;
  }

  showNone() {
    this.list.replaceChildren(make("li", { class: "none" }, "Nothing has been said here yet."));
  }

  makeItem(message) {
    const hue = parseInt(message.author.slice(2, 8), 16) % 360;
    return make(
      "li",
      {},
      make("span", { class: "face", "--hue": String(hue) }),
      make("span", { class: "meta", title: message.author }, `${short(message.author)} · ${clock(message.time_ms)}`),
      make("span", { class: "text" }, message.text),
    );
  }
}
