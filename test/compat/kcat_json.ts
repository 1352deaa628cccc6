// Turns kcat's JSON envelopes (-J) on standard input into the record lines of make_input.ts.
const hex = (text: string | null): string =>
  text === null ? "-" : Buffer.from(text, "utf8").toString("hex");
let out = "";
for (const line of (await Bun.stdin.text()).split("\n")) {
  if (line === "") continue;
  const record: { key: string | null; payload: string | null; headers?: (string | null)[] } =
    JSON.parse(line);
  const headers: string[] = [];
  const flat = record.headers ?? [];
  for (let i = 0; i + 1 < flat.length; i += 2)
    headers.push(`${hex(flat[i]!)}=${hex(flat[i + 1]!)}`);
  out += `${hex(record.key)}\t${hex(record.payload)}\t${headers.join(",")}\n`;
}
await Bun.write(Bun.stdout, out);
