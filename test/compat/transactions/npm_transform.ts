// What the loops of the two npm clients share: the words of worker.ts, and how they end.

/** Says one fact. */
export function say(line: string): void {
  process.stdout.write(`${line.replaceAll("\n", " ")}\n`);
}

export interface Options {
  readonly id: string;
  readonly group: string;
  readonly in: string;
  readonly out: string;
  /** Records of one transaction at most. */
  readonly batch: number;
  /** Whether the next transaction is to be aborted. */
  aborts(): boolean;
  /** Between the last record of a transaction and its end. */
  pause(): Promise<void>;
}

export interface Running {
  /** Rejects when a new process has to begin. */
  readonly failed: Promise<never>;
  close(): Promise<void>;
}

/** Runs until standard input ends, or the loop fails. */
export async function transformer(
  run: (options: Options, isStopping: () => boolean) => Promise<Running>,
): Promise<void> {
  const given = new Map(
    process.argv.slice(2).map((pair): [string, string] => {
      const at = pair.indexOf("=");
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
  let isStopping = false;
  const stopped = new Promise<void>((resolve) => {
    process.stdin.resume().on("end", () => {
      isStopping = true;
      resolve();
    });
  });
  const text = (name: string) => given.get(name)!;
  try {
    const running = await run(
      {
        id: text("id"),
        group: text("group"),
        in: text("in"),
        out: text("out"),
        batch: Number(text("batch")),
        aborts: () => Math.random() * 100 < Number(text("abort")),
        pause: () =>
          new Promise((resolve) => setTimeout(resolve, Math.random() * Number(text("pause")))),
      },
      () => isStopping,
    );
    await Promise.race([stopped, running.failed]);
    await Promise.race([running.close(), new Promise((resolve) => setTimeout(resolve, 5000))]);
  } catch (error) {
    say(`failed ${error}`);
    process.exit(3);
  }
  process.exit(0);
}
