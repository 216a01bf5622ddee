// Numbers as people read them. What is not known is a dash, never a zero.

export const UNKNOWN = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const number = (value) => (known(value) ? grouped.format(value) : UNKNOWN);

// Records a second, or of any other unit.
export function rate(value, unit = "/s") {
  if (!known(value)) return UNKNOWN;
  const digits = value === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${new Intl.NumberFormat("en", { maximumFractionDigits: digits }).format(value)} ${unit}`;
}

// Seconds, with two units at most.
export function duration(value) {
  if (!known(value)) return UNKNOWN;
  if (value < 10) return `${value < 0.05 ? 0 : value.toFixed(1)} s`;
  if (value < 60) return `${Math.floor(value)} s`;
  const [large, small, size, each] = value < 3600 ? ["min", "s", 60, 1] : value < 86400 ? ["h", "min", 3600, 60] : ["d", "h", 86400, 3600];
  const rest = Math.floor((value % size) / each);
  return `${Math.floor(value / size)} ${large}${rest ? ` ${rest} ${small}` : ""}`;
}

export function bytes(value) {
  if (!known(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (value >= 1024 && step < units.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${step ? value.toFixed(1) : value} ${units[step]}`;
}

// Milliseconds since the epoch as ISO 8601, UTC, to the second.
export const moment = (ms) => (known(ms) && ms > 0 ? `${new Date(ms).toISOString().slice(0, 19)}Z` : UNKNOWN);

// 3 of "shard": "3 shards".
export const count = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

export const percent = (share) => (known(share) ? `${Math.round(share * 100)} %` : UNKNOWN);
