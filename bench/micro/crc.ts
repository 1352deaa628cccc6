// CRC-32C: the plain one against the native one where it loads, by input size.
// `bun bench/micro/crc.ts` or `deno run -A bench/micro/crc.ts`. GB/s, best of the rounds.

import { answerHelp } from "../../scripts/usage.ts";
import { type Crc32c, crc32cPlain } from "../../src/base/crc32c.ts";
import { loadNativeCrc32c } from "../../src/runtime/native_crc32c.ts";
import { gigabytesPerSecond, mixture } from "./measure.ts";

answerHelp(import.meta.url);

const bytes = mixture(1 << 20);
const native = await loadNativeCrc32c();
console.log(`native: ${native === undefined ? "does not load here" : "loaded"}`);

let sink = 0;
for (const sizeBytes of [64, 256, 1024, 16384, 65536, 1 << 20]) {
  const part = bytes.subarray(3, sizeBytes);
  const rate = (compute: Crc32c) =>
    gigabytesPerSecond(part.length, () => {
      sink ^= compute(part, 0);
    });
  const columns = [`plain ${rate(crc32cPlain).toFixed(2)}`];
  if (native !== undefined) columns.push(`native ${rate(native).toFixed(2)}`);
  console.log(`${String(sizeBytes).padStart(8)} B  ${columns.join("  ")} GB/s`);
}
if (sink === 1) console.log(sink);
