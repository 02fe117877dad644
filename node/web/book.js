// The order book as a ladder with bars, and its depth as two curves.

import { find, make, setText } from "./dom.js";
import { unitsOf } from "./format.js";

const LEVELS = 11;
const WIDTH = 600;
const HEIGHT = 150;

export class Book {
  constructor(ladder) {
    const head = make("div", { class: "row head" }, make("span", {}, "Price"), make("span", {}, "Size"), make("span", {}, "Sum"));
    this.asks = Array.from({ length: LEVELS }, () => this.makeRow("ask"));
    this.bids = Array.from({ length: LEVELS }, () => this.makeRow("bid"));
    this.last = make("b");
    this.spread = make("span");
    ladder.append(head, ...this.asks, make("div", { class: "middle" }, this.last, this.spread), ...this.bids);
  }

  makeRow(side) {
    return make("div", { class: `row ${side} empty` }, make("span"), make("span"), make("span"));
  }

  choose(market) {
    this.units = unitsOf(market);
    this.symbol = market.base.symbol;
    for (const row of [...this.asks, ...this.bids]) row.classList.add("empty");
  }

  update(book, market) {
    const sumOf = (levels) => levels.slice(0, LEVELS).reduce((sum, level) => sum + level[1], 0);
    const most = Math.max(sumOf(book.bids), sumOf(book.asks), 1);
    this.draw([...this.asks].reverse(), book.asks, most);
    this.draw(this.bids, book.bids, most);
    const bid = book.bids[0]?.[0];
    const ask = book.asks[0]?.[0];
    setText(this.last, this.units.price(market?.last_price ?? bid ?? ask));
    const share = bid && ask ? (((ask - bid) / (ask + bid)) * 200).toFixed(2) : "";
    const spread = share ? `spread ${this.units.price(ask - bid)} · ${share} %` : bid || ask ? "one-sided" : "empty";
    setText(this.spread, spread);
    this.drawDepth(book);
  }

  draw(rows, levels, most) {
    let sum = 0;
    rows.forEach((row, place) => {
      const level = levels[place];
      row.classList.toggle("empty", !level);
      if (!level) return;
      const [price, size, orders] = level;
      sum += size;
      setText(row.children[0], this.units.price(price));
      setText(row.children[1], this.units.size(size));
      setText(row.children[2], this.units.size(sum));
      row.style.setProperty("--share", String(sum / most));
      row.title = `${orders} ${orders === 1 ? "order" : "orders"}`;
    });
  }

  drawDepth(book) {
    const plot = find("depth");
    const total = (levels) => levels.reduce((sum, level) => sum + level[1], 0);
    const reach = this.reachOf(book);
    if (reach === null) {
      plot.replaceChildren();
      find("depth-axis").replaceChildren();
      setText(find("depth-legend"), "no orders");
      return;
    }
    const { middle, span } = reach;
    const near = (levels) => levels.filter(([price]) => Math.abs(price - middle) <= span);
    const [bids, asks] = [near(book.bids), near(book.asks)];
    const top = Math.max(total(bids), total(asks), 1);
    const x = (price) => WIDTH / 2 + ((price - middle) / span) * (WIDTH / 2);
    const y = (sum) => HEIGHT - (sum / top) * (HEIGHT - 8);
    plot.replaceChildren(
      this.curve("bids", bids, x, y, 0),
      this.curve("asks", asks, x, y, WIDTH),
    );
    const ticks = [middle - span, middle - span / 2, middle, middle + span / 2, middle + span];
    const labels = ticks.map((price) => make("span", {}, this.units.price(Math.max(0, Math.round(price)))));
    find("depth-axis").replaceChildren(...labels);
    const sides = `${this.units.size(total(book.bids))} bid · ${this.units.size(total(book.asks))} offered`;
    setText(find("depth-legend"), `${sides} ${this.symbol}`);
  }

  reachOf(book) {
    const bid = book.bids[0]?.[0];
    const ask = book.asks[0]?.[0];
    if (bid === undefined && ask === undefined) return null;
    const middle = ((bid ?? ask) + (ask ?? bid)) / 2;
    const span = Math.max(reach(book.bids, middle), reach(book.asks, middle), 1) * 1.04;
    return { middle, span };
  }

  curve(name, levels, x, y, end) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", name);
    if (!levels.length) return path;
    let sum = 0;
    let line = `M${x(levels[0][0])},${HEIGHT}`;
    for (const [price, size] of levels) {
      line += `L${x(price)},${y(sum)}`;
      sum += size;
      line += `L${x(price)},${y(sum)}`;
    }
    path.setAttribute("d", `${line}L${end},${y(sum)}L${end},${HEIGHT}Z`);
    return path;
  }
}

/** How far from the middle nine tenths of a side lie: one order far away does not flatten the rest. */
export function reach(levels, middle) {
  let left = levels.reduce((sum, level) => sum + level[1], 0) * 0.9;
  const last = levels.find(([, size]) => (left -= size) <= 0) ?? levels.at(-1);
  return last ? Math.abs(last[0] - middle) : 0;
}
