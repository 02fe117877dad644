// Trades, blocks and what is behind a block.

import { fetchJson, find, ipfsLink, make, setText } from "./dom.js";
import { clock, count, short, unitsOf } from "./format.js";

const TRADES_SHOWN = 22;
const BLOCKS_SHOWN = 12;
const PULSE_BARS = 56;

export class Trades {
  constructor(body) {
    this.body = body;
  }

  choose(market) {
    this.units = unitsOf(market);
    this.body.replaceChildren();
    this.seen = 0;
  }

  /** Add trades, oldest first. */
  update(trades, isSnapshot) {
    if (isSnapshot) {
      this.body.replaceChildren();
      this.seen = 0;
    }
    for (const trade of trades.slice(-TRADES_SHOWN)) {
      if (trade.id <= this.seen) continue;
      this.seen = trade.id;
      this.body.prepend(this.makeRow(trade));
    }
    while (this.body.children.length > TRADES_SHOWN) this.body.lastChild.remove();
  }

  makeRow(trade) {
    const direction = { buy: "up", sell: "down" }[trade.taker_side] ?? "";
    const sealed = trade.sealed ? " sealed" : "";
    const title = trade.sealed ? "cleared from sealed orders" : "";
    return make(
      "tr",
      { title },
      make("td", { class: direction + sealed }, this.units.price(trade.price)),
      make("td", {}, this.units.size(trade.size)),
      make("td", {}, clock(trade.time_ms)),
    );
  }
}

export class Blocks {
  constructor(body) {
    this.body = body;
    this.names = new Map(); // by address, of everybody seen in office
    this.order = []; // names of the present committee by seat
    this.seats = 0;
    this.recent = [];
    this.dialog = find("detail");
    find("detail-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  setValidators(validators) {
    this.seats = validators.length;
    for (const seat of validators) this.names.set(seat.address, seat.name || short(seat.address));
    this.order = validators.map((seat) => this.names.get(seat.address));
  }

  /** Name a block's proposer; an index means a seat of the block's own epoch. */
  nameOf(block) {
    const address = block.proposer_address;
    if (!address) return this.order[block.proposer] ?? String(block.proposer);
    return this.names.get(address) ?? short(address);
  }

  /** Add blocks, oldest first. */
  update(blocks, isSnapshot) {
    if (isSnapshot) {
      this.body.replaceChildren();
      this.recent = [];
    }
    const top = this.recent.at(-1)?.height ?? -1;
    const fresh = blocks.filter((block) => block.height > top);
    this.recent = [...this.recent, ...fresh].slice(-PULSE_BARS);
    for (const block of fresh.slice(-BLOCKS_SHOWN)) this.body.prepend(this.makeRow(block));
    while (this.body.children.length > BLOCKS_SHOWN) this.body.lastChild.remove();
    this.drawPulse();
  }

  makeRow(block) {
    const height = make("button", { type: "button", class: "height" }, count(block.height));
    height.addEventListener("click", () => this.open(block.height));
    const votes = make("span", { class: "dots", title: `${block.signers} signers` });
    votes.append("●".repeat(Math.min(block.signers, 32)), make("i", {}, "●".repeat(Math.max(0, Math.min(this.seats, 32) - block.signers))));
    return make(
      "tr",
      {},
      make("td", {}, height),
      make("td", {}, this.nameOf(block)),
      make("td", {}, count(block.actions)),
      make("td", { class: "wide-only" }, count(block.trades)),
      make("td", {}, block.finality_ms ? `${block.finality_ms} ms` : "–"),
      make("td", { class: "wide-only" }, votes),
      make("td", {}, ipfsLink(block.cid, 4, 6)),
    );
  }

  drawPulse() {
    const most = Math.max(...this.recent.map((block) => block.finality_ms), 1);
    const bars = this.recent.map((block) => make("i", {
      class: block.actions ? "busy" : "",
      "--h": String(block.finality_ms / most),
      title: `${block.height}: ${block.finality_ms} ms`,
    }));
    find("pulse").replaceChildren(...bars);
  }

  async open(height) {
    setText(find("detail-title"), `Block ${count(height)}`);
    find("detail-body").replaceChildren("Loading…");
    this.dialog.showModal();
    try {
      this.show(await fetchJson(`/v1/blocks/${height}`));
    } catch {
      find("detail-body").replaceChildren("This node cannot show the block now.");
    }
  }

  show(block) {
    const { summary } = block;
    const list = make("dl");
    const add = (label, ...content) => list.append(make("dt", {}, label), make("dd", {}, ...content));
    add("Time", new Date(summary.time_ms).toISOString());
    add("Proposer", this.nameOf(summary), ` · view ${summary.view} · epoch ${summary.epoch}`);
    add("Certificate", `seats ${block.certificate_signers.join(", ")}`);
    add("Hash", summary.hash);
    add("Content", this.fullLink(summary.cid));
    add("Parent", block.parent_cid ? this.fullLink(block.parent_cid) : block.parent_hash);
    add(`State after ${count(summary.executed_height)}`, block.state_root);
    for (const bundle of block.bundles) {
      add(`${bundle.actions} actions`, this.fullLink(bundle.cid), ` · ${count(bundle.bytes)} bytes`);
    }
    if (!block.bundles.length) add("Bundles", "none");
    find("detail-body").replaceChildren(list);
  }

  fullLink(cid) {
    return make("a", { href: `/ipfs/${encodeURIComponent(cid)}?format=raw` }, cid);
  }
}
