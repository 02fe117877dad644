// Turn ticks, lots and atoms into text. Amounts are BigInt: money is never a floating-point number.

const POWERS = [];
export function pow10(exponent) {
  while (POWERS.length <= exponent) POWERS.push(10n ** BigInt(POWERS.length));
  return POWERS[exponent];
}

/** Decimals needed to write numerator/denominator exactly, at most `most`. */
function decimalsOf(numerator, denominator, most) {
  for (let places = 0; places < most; places += 1) {
    if ((numerator * pow10(places)) % denominator === 0n) return places;
  }
  return most;
}

function group(text) {
  return text.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** Write value / 10^decimals with exactly `places` decimals, cut, not rounded. */
export function fixed(value, decimals, places) {
  const sign = value < 0n ? "−" : "";
  const size = value < 0n ? -value : value;
  const scaled = decimals >= places ? size / pow10(decimals - places) : size * pow10(places - decimals);
  const whole = group((scaled / pow10(places)).toString());
  if (places === 0) return sign + whole;
  return `${sign}${whole}.${(scaled % pow10(places)).toString().padStart(places, "0")}`;
}

/** Units of one market: how ticks and lots are written. */
export function unitsOf(market) {
  const perTick = BigInt(market.tick) * pow10(market.base.decimals);
  const perUnit = BigInt(market.lot) * pow10(market.quote.decimals);
  const pricePlaces = decimalsOf(perTick, perUnit, 12);
  const sizePlaces = decimalsOf(BigInt(market.lot), pow10(market.base.decimals), 8);
  return {
    price: (ticks) => (ticks === null || ticks === undefined ? "–"
      : fixed((BigInt(ticks) * perTick * pow10(pricePlaces)) / perUnit, pricePlaces, pricePlaces)),
    size: (lots) => fixed(BigInt(lots) * BigInt(market.lot), market.base.decimals, sizePlaces),
    number: (ticks) => Number(BigInt(ticks) * perTick) / Number(perUnit),
    volume: (lots) => compact(Number(BigInt(lots) * BigInt(market.lot)) / 10 ** market.base.decimals),
    places: pricePlaces,
  };
}

/** Atoms as a decimal string, with as many places as suit the largest of what stands together. */
export function amount(atoms, decimals, largest = atoms) {
  const size = BigInt(largest);
  const places = size >= pow10(decimals + 2) ? 2 : size >= pow10(decimals) ? 4 : 6;
  return fixed(BigInt(atoms), decimals, Math.min(decimals, places));
}

/** 12345 → 12.3k, for figures that are read at a glance. */
export function compact(value) {
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)}b`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}m`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

export function count(value) {
  return group(String(value));
}

export function change(now, then) {
  if (!now || !then) return null;
  return (now - then) / then;
}

export function percent(share) {
  const sign = share > 0 ? "+" : share < 0 ? "−" : "";
  return `${sign}${(Math.abs(share) * 100).toFixed(2)} %`;
}

export function age(ms) {
  if (ms < 0) return "now";
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString([], { hour12: false });
}

export function short(text, head = 6, tail = 4) {
  return text.length <= head + tail + 1 ? text : `${text.slice(0, head)}…${text.slice(-tail)}`;
}
