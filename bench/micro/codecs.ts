// The codecs on blocks of JSON-like records: speed both ways, and how small it gets.
// `bun bench/micro/codecs.ts` or `deno run -A bench/micro/codecs.ts`. GB/s of uncompressed bytes.

import { answerHelp } from "../../scripts/usage.ts";
import type { CompressionCodec } from "../../src/record/compression.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { gigabytesPerSecond, jsonLike } from "./measure.ts";

answerHelp(import.meta.url);

for (const sizeBytes of [1024, 65536, 1 << 20]) {
  const bytes = jsonLike(sizeBytes);
  console.log(`${sizeBytes} B`);
  for (const codec of ["gzip", "snappy", "lz4", "zstd"] satisfies CompressionCodec[]) {
    const packed = hostCompression.compress(codec, bytes);
    const into = gigabytesPerSecond(sizeBytes, () => hostCompression.compress(codec, bytes));
    const outOf = gigabytesPerSecond(sizeBytes, () =>
      hostCompression.decompress(codec, packed, sizeBytes),
    );
    const share = ((100 * packed.length) / sizeBytes).toFixed(1).padStart(5);
    console.log(
      `  ${codec.padEnd(7)} to ${share} %  compress ${into.toFixed(3)}  decompress ${outOf.toFixed(3)} GB/s`,
    );
  }
}
