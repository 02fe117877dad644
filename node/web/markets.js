// The strip of markets on top. Arrow keys and the digits choose one.

import { make, setText } from "./dom.js";
import { change, percent, unitsOf } from "./format.js";

export class Markets {
  constructor(strip, onChoose) {
    this.strip = strip;
    this.onChoose = onChoose;
    this.tabs = new Map();
    this.markets = [];
    this.chosen = null;
    strip.addEventListener("keydown", (event) => this.onKey(event));
  }

  update(markets) {
    this.markets = markets;
    for (const market of markets) {
      if (!this.tabs.has(market.id)) this.add(market);
      this.draw(this.tabs.get(market.id), market);
    }
    if (this.chosen === null && markets.length) {
      const wanted = localStorage.getItem("market");
      const first = markets.find((market) => market.name === wanted)
        ?? markets.find((market) => market.trades > 0) ?? markets[0];
      this.choose(first.id);
    }
  }

  get current() {
    return this.markets.find((market) => market.id === this.chosen) ?? null;
  }

  choose(id) {
    const market = this.markets.find((one) => one.id === id);
    if (!market || id === this.chosen) return;
    this.chosen = id;
    localStorage.setItem("market", market.name);
    for (const [key, tab] of this.tabs) {
      tab.setAttribute("aria-selected", String(key === id));
      tab.tabIndex = key === id ? 0 : -1;
    }
    this.reveal(this.tabs.get(id));
    this.onChoose(market);
  }

  /** Bring a tab into view without moving the page. */
  reveal(tab) {
    const room = this.strip.clientWidth;
    const left = tab.offsetLeft - this.strip.offsetLeft;
    if (left < this.strip.scrollLeft) this.strip.scrollLeft = left - 4;
    else if (left + tab.offsetWidth > this.strip.scrollLeft + room) this.strip.scrollLeft = left + tab.offsetWidth - room + 4;
  }

  chooseByPlace(place) {
    if (this.markets[place]) this.choose(this.markets[place].id);
  }

  add(market) {
    const tab = make(
      "button",
      { class: "market", type: "button", role: "tab", "aria-selected": "false", tabindex: "-1" },
      make("span", { class: "name" }, market.name),
      make("span", { class: "last" }),
      make("span", { class: "volume" }),
      make("span", { class: "change" }),
    );
    tab.addEventListener("click", () => this.choose(market.id));
    this.tabs.set(market.id, tab);
    this.strip.append(tab);
  }

  draw(tab, market) {
    const units = unitsOf(market);
    const [, last, volume, moved] = tab.children;
    setText(last, units.price(market.last_price));
    setText(volume, `${units.volume(market.volume_24h)} ${market.base.symbol} in 24 h`);
    const share = change(market.last_price, market.open_24h);
    setText(moved, share === null ? "" : percent(share));
    moved.className = `change ${share > 0 ? "up" : share < 0 ? "down" : ""}`;
  }

  onKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const place = this.markets.findIndex((market) => market.id === this.chosen);
    const next = this.markets[(place + step + this.markets.length) % this.markets.length];
    this.choose(next.id);
    this.tabs.get(next.id).focus();
  }
}
