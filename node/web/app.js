// Wire the stream to the panels and keep their ages honest.

import { Book } from "./book.js";
import { Chart } from "./chart.js";
import { fetchJson, find, setText } from "./dom.js";
import { age, count, short } from "./format.js";
import { Markets } from "./markets.js";
import { Chat, drawSettlement, drawValidators } from "./panels.js";
import { Stream } from "./stream.js";
import { Blocks, Trades } from "./tables.js";

const STALE_MS = 3_000;
const QUIET_CHAIN_MS = 10_000; // without a final block for this long, say so
const RELOAD_CANDLES_MS = 60_000;
const LOBBY = "lobby";

applyTheme(localStorage.getItem("theme"));
const stream = new Stream(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/ws`);
const chart = new Chart(find("candles"));
const book = new Book(find("ladder"));
const trades = new Trades(find("trades"));
const blocks = new Blocks(find("blocks"));
const markets = new Markets(find("markets"), showMarket);
const chat = new Chat(find("messages"), find("rooms"), showRoom);
const assets = new Map();
let endMarket = [];
let endRoom = () => {};
let room = LOBBY;
let status = null;
let statusAt = 0;
let settlement = null;

stream.subscribe("status", undefined, (data) => {
  status = data;
  statusAt = performance.now();
  showStatus();
});
stream.subscribe("markets", undefined, (data) => {
  for (const market of data) for (const asset of [market.base, market.quote]) assets.set(asset.id, asset);
  markets.update(data);
  if (markets.current) chart.describe(markets.current);
  if (settlement) drawSettlement(settlement, assets);
});
stream.subscribe("validators", undefined, (data) => {
  blocks.setValidators(data);
  drawValidators(find("validators"), data);
});
stream.subscribe("settlement", undefined, (data) => {
  settlement = data;
  drawSettlement(data, assets);
});
stream.subscribe("blocks", undefined, (data, isSnapshot) => blocks.update(data, isSnapshot));
stream.addEventListener("state", showLink);
startChat();
setInterval(showAges, 250);
setInterval(() => stream.state === "live" && markets.current && chart.load(), RELOAD_CANDLES_MS);

function showMarket(market) {
  for (const end of endMarket) end();
  for (const part of [chart, book, trades]) part.choose(market);
  chart.describe(market);
  endMarket = [
    stream.subscribe("book", market.id, (data) => book.update(data, markets.current)),
    stream.subscribe("trades", market.id, (data, isSnapshot) => {
      trades.update(data, isSnapshot);
      chart.onTrades(data, isSnapshot);
    }),
  ];
}

async function startChat() {
  showRoom(LOBBY);
  try {
    const { rooms } = await fetchJson("/v1/chat/rooms");
    if (rooms.length) chat.setRooms(rooms, room);
  } catch {
    setTimeout(startChat, 5_000);
  }
}

function showRoom(name) {
  endRoom();
  room = name;
  chat.choose(name);
  endRoom = stream.subscribe("chat", name, (data, isSnapshot) => chat.update(data, isSnapshot));
}

function showStatus() {
  setText(find("network"), status.network);
  setText(find("vital-final"), count(status.final));
  setText(find("vital-epoch"), count(status.epoch));
  setText(find("vital-finality"), status.finality_ms ? `${status.finality_ms} ms` : "–");
  setText(find("vital-peers"), String(status.peers));
  setText(find("vital-trades"), count(status.trades));
  setText(find("vital-signatures"), count(status.verified_signatures));
  setText(find("version"), `omnibazaar ${status.version}`);
  setText(find("network-id"), short(status.network_id, 10, 6));
  document.title = `${count(status.final)} · OmniBazaar ${status.network}`;
  showNotice();
}

function showNotice() {
  const lines = [];
  if (stream.state === "lost") lines.push("No connection to the node. What you see is old; trying again.");
  if (status && stream.state === "live") {
    const quiet = status.now_ms - status.block_time_ms + (performance.now() - statusAt);
    if (status.final > 0 && quiet > QUIET_CHAIN_MS) lines.push(`No final block for ${age(quiet - (quiet % 10_000))}.`);
    if (!status.ready) lines.push(`This node waits for ${status.waits_for}.`);
    for (const { code, message, fix } of status.problems) {
      lines.push(`${message[0].toUpperCase()}${message.slice(1)}${fix ? ` → ${fix}` : ""} (${code})`);
    }
  }
  const notice = find("notice");
  setText(notice, lines.join("\n"));
  notice.hidden = lines.length === 0;
}

function showLink() {
  const link = find("link");
  link.dataset.state = stream.state;
  setText(link, { live: "live", lost: "disconnected" }[stream.state] ?? "connecting");
  showNotice();
}

function topicOf(panel) {
  const market = markets.current?.id;
  return {
    candles: ["trades", market],
    depth: ["book", market],
    book: ["book", market],
    trades: ["trades", market],
    chat: ["chat", room],
  }[panel] ?? [panel, undefined];
}

function showAges() {
  for (const panel of document.querySelectorAll("[data-panel]")) {
    const ms = stream.ageOf(...topicOf(panel.dataset.panel));
    panel.classList.toggle("stale", ms > STALE_MS);
    setText(panel.querySelector(".age"), ms === Infinity ? "waiting" : age(ms));
  }
  showNotice();
}

function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

function switchTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  chart.applyTheme();
}

find("theme").addEventListener("click", switchTheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.applyTheme());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, dialog")) return;
  if (event.key === "t") switchTheme();
  if (/^[1-9]$/.test(event.key)) markets.chooseByPlace(Number(event.key) - 1);
});
