// Makes the input of the client checks: deterministic, from one seed, the same bytes on every machine.
//   bun make_input.ts FOLDER  →  full.txt (over 100 MB, over a million lines), small.txt (its first 100,000 lines),
//   records.tsv, text_records.tsv
// A record line is key TAB value TAB headers: hex, "-" for null, nothing for empty; headers are name=value (hex names)
// joined by ",". Clients read and print that form, so that two files can be compared byte by byte.
// text_records.tsv holds only valid UTF-8 and one value for each header name, for clients that cannot say more.
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2] ?? ".";
let state = 0x9e3779b9;
/** A 32-bit generator (xorshift) is enough for text. */
function next(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state >>> 0;
}
const below = (n: number): number => next() % n;
const pick = <T>(from: readonly T[]): T => from[below(from.length)]!;

const LEVELS = ["INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"];
const PLACES = [
  "gateway",
  "orders",
  "Lagerhaus",
  "paiements",
  "склад",
  "倉庫",
  "αποθήκη",
  "مخزن",
  "billing",
  "search",
];
const WORDS = (
  "request accepted order shipped customer amount pending timeout retry connection closed café naïve Straße größer " +
  "überfällig número año señal пакет доставлен заказ отменён 注文 発送済み 支払い 受付 訂單 已送達 κείμενο δέμα שלום مرحبا " +
  "cache miss hit shard replica leader segment offset partition batch latency throughput percentile zażółć gęślą jaźń"
).split(" ");
const SIGNS = ["🚚", "✅", "⚠️", "📦", "🧾", "👩🏽‍💻", "→", "…"];

function line(n: number): string {
  const millis = String(n % 1000).padStart(3, "0");
  const second = Math.floor(n / 1000);
  const at = `${String(Math.floor(second / 3600) % 24).padStart(2, "0")}:${String(Math.floor(second / 60) % 60).padStart(2, "0")}:${String(second % 60).padStart(2, "0")}.${millis}`;
  let text = `2026-03-14T${at}Z ${pick(LEVELS)} [${pick(PLACES)}-${below(48)}] #${n}`;
  const dice = below(10_000);
  // most lines are short, one in a hundred is long, a few are very long
  const words = dice === 0 ? 1500 + below(1500) : dice < 100 ? 60 + below(200) : 2 + below(12);
  for (let i = 0; i < words; i++)
    text +=
      below(9) === 0 ? ` key_${below(1 << 20).toString(16)}=${below(1e9)}` : ` ${pick(WORDS)}`;
  if (below(6) === 0) text += ` ${pick(SIGNS)}`;
  if (below(50) === 0)
    text += `\t{"id":${below(1e9)},"path":"/v1/${pick(PLACES)}?q=%20+&x=\\"1\\""}`;
  return text;
}

const encoder = new TextEncoder();
const full = openSync(join(folder, "full.txt"), "w");
const small = openSync(join(folder, "small.txt"), "w");
let bytes = 0;
let lines = 0;
let part: string[] = [];
while (bytes < 108_000_000 || lines < 1_050_000) {
  part.push(line(lines++));
  if (part.length === 10_000) {
    const block = encoder.encode(`${part.join("\n")}\n`);
    writeSync(full, block);
    if (lines <= 100_000) writeSync(small, block);
    bytes += block.length;
    part = [];
  }
}
if (part.length > 0) writeSync(full, encoder.encode(`${part.join("\n")}\n`));
closeSync(full);
closeSync(small);

type Data = Uint8Array | null;
const hex = (data: Data): string => (data === null ? "-" : Buffer.from(data).toString("hex"));
const row = (key: Data, value: Data, headers: readonly (readonly [string, Data])[]): string =>
  `${hex(key)}\t${hex(value)}\t${headers.map(([name, data]) => `${hex(encoder.encode(name))}=${hex(data)}`).join(",")}\n`;
function binary(size: number): Uint8Array {
  const data = new Uint8Array(size);
  for (let i = 0; i < size; i++) data[i] = next() >>> 11;
  return data;
}
const text = (words: number): Uint8Array =>
  encoder.encode(Array.from({ length: words }, () => pick(WORDS)).join(" "));
const empty = new Uint8Array(0);
const every = Uint8Array.from({ length: 256 }, (_, i) => i);

let records = "";
records +=
  row(null, null, []) + row(empty, empty, []) + row(null, empty, []) + row(empty, null, []);
records += row(every, every, [["every byte", every]]);
records += row(null, encoder.encode("🧾"), [
  ["naïve 🚚", encoder.encode("größer")],
  ["empty", empty],
]);
records += row(encoder.encode("k"), null, [
  ["twice", encoder.encode("1")],
  ["twice", encoder.encode("2")],
]);
records +=
  row(encoder.encode("big"), binary(300_000), []) +
  row(binary(20_000), encoder.encode("big key"), []);
records += row(null, encoder.encode("a".repeat(500_000)), [["big", binary(10_000)]]);
for (let i = 0; i < 2000; i++) {
  const headers = Array.from(
    { length: below(4) },
    (_, h) => [`h${h}`, below(3) === 0 ? binary(below(40)) : text(1)] as const,
  );
  records += row(
    below(3) === 0 ? null : binary(1 + below(30)),
    below(20) === 0 ? null : below(2) === 0 ? binary(below(2000)) : text(below(120)),
    headers,
  );
}
await Bun.write(join(folder, "records.tsv"), records);

let plain =
  row(null, null, []) + row(empty, empty, []) + row(null, empty, []) + row(empty, null, []);
plain += row(null, encoder.encode("🧾 größer"), [
  ["naïve 🚚", encoder.encode("größer")],
  ["empty", empty],
]);
plain += row(encoder.encode("big"), text(60_000), [["big", text(500)]]);
for (let i = 0; i < 2000; i++) {
  const headers = Array.from({ length: below(4) }, (_, h) => [`h${h}`, text(1)] as const);
  plain += row(
    below(3) === 0 ? null : text(1 + below(3)),
    below(20) === 0 ? null : text(below(120)),
    headers,
  );
}
await Bun.write(join(folder, "text_records.tsv"), plain);
