// Candles of the chosen market, kept live by its trades.

import {
  CandlestickSeries,
  ColorType,
  CrosshairMode,
  HistogramSeries,
  createChart,
} from "./vendor/lightweight-charts.mjs";
import { fetchJson, find, make, setText } from "./dom.js";
import { change, percent, unitsOf } from "./format.js";

const INTERVALS = { "1s": 1, "5s": 5, "15s": 15, "1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400 };
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Chart {
  constructor(place) {
    this.chart = createChart(place, { autoSize: true });
    this.candles = this.chart.addSeries(CandlestickSeries);
    this.volumes = this.chart.addSeries(HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.volumes.priceScale().applyOptions({ scaleMargins: { top: 0.86, bottom: 0 } });
    this.market = null;
    this.last = null; // the newest candle as drawn
    this.seen = 0; // highest trade id drawn
    this.loadedAt = 0;
    this.interval = localStorage.getItem("interval") ?? "15s";
    if (!INTERVALS[this.interval]) this.interval = "15s";
    this.buttons = Object.keys(INTERVALS).map((name) => this.makeButton(name));
    find("intervals").append(...this.buttons);
    this.applyTheme();
  }

  makeButton(name) {
    const pressed = String(name === this.interval);
    const button = make("button", { type: "button", "aria-pressed": pressed }, name);
    button.addEventListener("click", () => {
      this.interval = name;
      localStorage.setItem("interval", name);
      for (const other of this.buttons) other.setAttribute("aria-pressed", String(other === button));
      this.load();
    });
    return button;
  }

  applyTheme() {
    const up = colour("--up");
    const down = colour("--down");
    this.chart.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: colour("--panel") },
        textColor: colour("--muted"),
        fontSize: 11,
        fontFamily: getComputedStyle(document.body).fontFamily,
        attributionLogo: true,
      },
      grid: { vertLines: { visible: false }, horzLines: { color: colour("--line") } },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.18 } },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: true, rightOffset: 4, barSpacing: 9 },
    });
    this.candles.applyOptions({ upColor: up, downColor: down, borderVisible: false, wickUpColor: up, wickDownColor: down });
    if (this.market) this.load();
  }

  choose(market) {
    this.market = market;
    this.units = unitsOf(market);
    this.candles.applyOptions({ priceFormat: { type: "price", precision: this.units.places, minMove: 10 ** -this.units.places } });
    setText(find("pair"), market.name);
    this.load();
  }

  async load() {
    const { id } = this.market;
    const interval = this.interval;
    try {
      const answer = await fetchJson(`/v1/markets/${id}/candles?interval=${interval}&limit=400`);
      if (this.market.id !== id || this.interval !== interval) return;
      this.show(answer.candles);
    } catch {
      this.loadedAt = 0; // the age of the panel tells
    }
  }

  show(rows) {
    const bars = rows.map(([start, open, high, low, close, volume]) => ({
      time: Math.floor(start / 1000),
      ...this.bar(open, high, low, close),
      volume: Number(volume),
    }));
    this.candles.setData(bars);
    this.volumes.setData(bars.map((bar) => this.volumeBar(bar)));
    this.last = bars.at(-1) ?? null;
    this.chart.timeScale().scrollToRealTime();
    this.loadedAt = performance.now();
  }

  bar(open, high, low, close) {
    const { number } = this.units;
    return { open: number(open), high: number(high), low: number(low), close: number(close) };
  }

  volumeBar(bar) {
    return { time: bar.time, value: bar.volume, color: colour(bar.close >= bar.open ? "--up-soft" : "--down-soft") };
  }

  /** Extend the newest candle by new trades, oldest first. */
  onTrades(trades, isSnapshot) {
    if (isSnapshot) {
      this.seen = trades.at(-1)?.id ?? 0;
      return;
    }
    for (const trade of trades) {
      if (trade.id <= this.seen) continue;
      this.seen = trade.id;
      this.extend(trade);
    }
    this.loadedAt = performance.now();
  }

  extend(trade) {
    const length = INTERVALS[this.interval];
    const seconds = Math.floor(trade.time_ms / 1000);
    const time = seconds - (seconds % length);
    const price = this.units.number(trade.price);
    if (this.last && time < this.last.time) return;
    if (!this.last || time > this.last.time) {
      this.last = { time, open: price, high: price, low: price, close: price, volume: 0 };
    }
    this.last.high = Math.max(this.last.high, price);
    this.last.low = Math.min(this.last.low, price);
    this.last.close = price;
    this.last.volume += trade.size;
    this.candles.update({ ...this.last });
    this.volumes.update(this.volumeBar(this.last));
  }

  /** The figures above the chart. */
  describe(market) {
    const share = change(market.last_price, market.open_24h);
    const direction = share > 0 ? "up" : share < 0 ? "down" : "";
    setText(find("last"), this.units.price(market.last_price));
    find("last").className = `price ${direction}`;
    setText(find("change"), share === null ? "" : percent(share));
    find("change").className = `change ${direction}`;
    const facts = [
      ["High", this.units.price(market.high_24h)],
      ["Low", this.units.price(market.low_24h)],
      ["Volume", `${this.units.volume(market.volume_24h)} ${market.base.symbol}`],
      ["Resting orders", String(market.orders)],
      [market.mode === "sealed" ? "Sealed orders waiting" : "Mode", market.mode === "sealed" ? String(market.sealed_pending) : market.mode],
    ];
    if (market.phase !== "OPEN") {
      const why = { breaker: " (breaker)", opening: " (opening)" }[market.phase_cause] ?? "";
      facts.push(["Phase", market.phase + (market.phase === "AUCTION" ? why : "")]);
    }
    if (market.auction_ms) {
      facts.push(["Auction at", new Date(market.auction_ms).toLocaleTimeString()]);
      facts.push(["It would give", market.auction_price === null ? "no trade" : `${this.units.volume(market.auction_size)} ${market.base.symbol} at ${this.units.price(market.auction_price)}`]);
    }
    if (market.band_low !== null) {
      facts.push(["Price band", `${this.units.price(market.band_low)} – ${this.units.price(market.band_high)}`]);
    }
    const box = find("facts");
    if (box.children.length !== facts.length) {
      box.replaceChildren(...facts.map(() => make("span", {}, "", make("b"))));
    }
    facts.forEach(([label, value], place) => {
      setText(box.children[place].lastChild, value);
      if (box.children[place].firstChild.nodeValue !== `${label} `) box.children[place].firstChild.nodeValue = `${label} `;
    });
  }
}
