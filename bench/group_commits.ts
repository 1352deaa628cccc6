// Commits as fast as a broker takes them: OffsetCommit requests that were encoded once, over plain sockets, so that
// nearly all of the CPU time is the broker's. Each connection commits for a group of its own, as a simple consumer does.

import { OffsetCommit } from "../src/protocol/messages/08_offset_commit.ts";
import { encodeRequest } from "../src/protocol/mod.ts";
import { committedOffsets } from "../test/compat/groups/committed.ts";

/** Requests without an answer on each connection. */
const DEPTH = 64;

/** Commits of one partition each that were acknowledged without an error, a second. */
export async function commitsPerSecond(
  bootstrap: string,
  topic: string,
  partitions: number,
  connections: number,
  seconds: number,
): Promise<number> {
  let acknowledged = 0;
  let isOver = false;
  const lines = Array.from({ length: connections }, async (_, n) => {
    const group = `commits-${n}`;
    await committedOffsets(bootstrap, group, topic, 1); // its coordinator is there
    const frames = Array.from({ length: partitions }, (_, partitionIndex) =>
      Buffer.concat(
        encodeRequest(OffsetCommit, 9, 1, "bench", {
          groupId: group,
          memberId: "",
          topics: [
            {
              name: topic,
              partitions: [{ partitionIndex, committedOffset: 1n, committedMetadata: "" }],
            },
          ],
        }),
      ),
    );
    return { frames };
  });
  const ready = await Promise.all(lines);
  let failure: Error | undefined;
  const open = ready.map(async ({ frames }) => {
    let at = 0;
    let pending: Buffer = Buffer.alloc(0);
    const next = (count: number) =>
      Buffer.concat(Array.from({ length: count }, () => frames[at++ % frames.length]!));
    let unsent: Buffer = Buffer.alloc(0);
    return await Bun.connect({
      hostname: bootstrap.split(":")[0]!,
      port: Number(bootstrap.split(":")[1]),
      socket: {
        open(socket) {
          const first = next(DEPTH);
          unsent = first.subarray(socket.write(first));
        },
        drain(socket) {
          unsent = unsent.subarray(socket.write(unsent));
        },
        data(socket, chunk) {
          pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
          let answers = 0;
          let from = 0;
          while (pending.length - from >= 4) {
            const size = pending.readInt32BE(from);
            if (pending.length - from < 4 + size) break;
            // …, partition, error code, tags of the partition, of the topic, of the answer
            const code = pending.readInt16BE(from + 4 + size - 5);
            if (code !== 0) failure = new Error(`OffsetCommit was answered with error ${code}`);
            from += 4 + size;
            answers++;
          }
          pending = Buffer.from(pending.subarray(from));
          acknowledged += answers;
          if (isOver || answers === 0) return;
          const more = next(answers);
          if (unsent.length > 0) unsent = Buffer.concat([unsent, more]);
          else unsent = more.subarray(socket.write(more));
        },
      },
    });
  });
  const sockets = await Promise.all(open);
  await Bun.sleep(200);
  const from = acknowledged;
  const began = performance.now();
  await Bun.sleep(seconds * 1000);
  const rate = ((acknowledged - from) * 1000) / (performance.now() - began);
  isOver = true;
  for (const socket of sockets) socket.end();
  if (failure !== undefined) throw failure;
  if (rate === 0) throw new Error("no commit was acknowledged");
  return rate;
}
