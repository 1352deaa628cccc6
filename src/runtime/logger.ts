// Log events as lines on standard error, or handed to LogTape, of which this is the only importer, where a
// program embeds the broker and configures LogTape itself. Loading it costs 6 to 10 ms and 2.5 MB, so the
// broker's own lines do without, and events are held until it is there, soon after the first one.
// Invariant: no event is lost while it loads or when the process ends (`flush`); an event keeps the
// time at which it happened; a level that is off costs one comparison.

import type { LogFields, Logger } from "../contracts/runtime.ts";
import { stderrIsTerminal, writeStderr } from "./host.ts";
import type { LogEvent, LogLevel, LogThreshold } from "./log_format.ts";
import { jsonLine, textLine } from "./log_format.ts";

/** Root category: an embedding program configures LogTape for it as it likes. */
export const LOG_CATEGORY = "millrace";
/** Events that wait for LogTape at most; beyond it the oldest are written without it. */
const HELD_EVENTS_MAX = 1_000;
/** How long a line may wait for others. */
const TEXT_DELAY_MS = 5;
/** Text that waits so at most. */
const HELD_CHARS_MAX = 64 * 1024;
/** Lets the start of the program go first. */
const LOAD_DELAY_MS = 200;

const RANKS: Record<LogThreshold, number> = { debug: 0, info: 1, warn: 2, error: 3, off: 4 };
const LOGTAPE_LEVELS = { debug: "debug", info: "info", warn: "warning", error: "error" } as const;

export interface LogOptions {
  /** The lowest level that is logged. Default "info". */
  readonly level?: LogThreshold;
  /** Default "auto": text on a terminal, JSON lines elsewhere. */
  readonly format?: "auto" | "json" | "text";
  /** Where lines go. Default: standard error. */
  readonly write?: (text: string) => void;
  /**
   * False leaves LogTape's configuration to the embedding program: events go to its category
   * "millrace", and nowhere while that is not configured. Default true: lines are written as `format` says.
   */
  readonly configure?: boolean;
}

interface Emitter {
  emit(record: {
    level: "debug" | "info" | "warning" | "error";
    timestamp: number;
    message: readonly unknown[];
    rawMessage: string;
    properties: Record<string, unknown>;
  }): void;
}

/** The log of one process. */
export class HostLog {
  readonly logger: Logger;
  readonly #rank: number;
  readonly #write: (text: string) => void;
  readonly #line: (entry: LogEvent) => string;
  readonly #configure: boolean;
  /** LogTape; null where lines are written directly. */
  #emitter: Emitter | null = null;
  #isLoaded = false;
  #loading: Promise<void> | null = null;
  #loadTimer: ReturnType<typeof setTimeout> | null = null;
  #held: LogEvent[] = [];
  #text = "";
  #textTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(options: LogOptions = {}) {
    this.#rank = RANKS[options.level ?? "info"];
    this.#write = options.write ?? writeStderr;
    this.#configure = options.configure ?? true;
    this.#line = formatter(options.format ?? "auto");
    this.logger = this.#child({});
  }

  /** Makes what waits go out, through LogTape where that is wanted. Never rejects: without it, lines are written directly. */
  load(): Promise<void> {
    if (this.#loadTimer !== null) clearTimeout(this.#loadTimer);
    this.#loadTimer = null;
    this.#loading ??= this.#load();
    return this.#loading;
  }

  /** Writes everything that waits, at once: before the process ends. */
  flush(): void {
    const held = this.#held;
    this.#held = [];
    if (this.#configure) for (const entry of held) this.#append(this.#line(entry));
    this.#writeOut();
  }

  #child(bound: LogFields): Logger {
    const log =
      (level: LogLevel) =>
      (event: string, fields?: LogFields): void => {
        if (RANKS[level] < this.#rank) return;
        this.#log({
          wallMs: Date.now(),
          level,
          event,
          fields: fields === undefined ? bound : { ...bound, ...fields },
        });
      };
    return {
      debug: log("debug"),
      info: log("info"),
      warn: log("warn"),
      error: log("error"),
      child: (fields) => this.#child({ ...bound, ...fields }),
    };
  }

  #log(entry: LogEvent): void {
    if (this.#isLoaded) {
      this.#emit(this.#emitter, entry);
      return;
    }
    this.#held.push(entry);
    if (this.#held.length > HELD_EVENTS_MAX) this.flush();
    if (this.#loading !== null || this.#loadTimer !== null) return;
    const isUrgent = RANKS[entry.level] >= RANKS.warn;
    this.#loadTimer = setTimeout(() => void this.load(), isUrgent ? 0 : LOAD_DELAY_MS);
    (this.#loadTimer as { unref?: () => void }).unref?.();
  }

  #emit(emitter: Emitter | null, entry: LogEvent): void {
    if (emitter === null) {
      this.#append(this.#line(entry));
      return;
    }
    emitter.emit({
      level: LOGTAPE_LEVELS[entry.level],
      timestamp: entry.wallMs,
      message: [entry.event],
      rawMessage: entry.event,
      properties: entry.fields,
    });
  }

  async #load(): Promise<void> {
    if (!this.#configure) {
      try {
        const logtape = await import("@logtape/logtape");
        this.#emitter = logtape.getLogger([LOG_CATEGORY]) as unknown as Emitter;
      } catch {
        // Not installed: our lines still come out.
      }
    }
    this.#isLoaded = true;
    const held = this.#held;
    this.#held = [];
    for (const entry of held) this.#emit(this.#emitter, entry);
  }

  #append(line: string): void {
    this.#text += line;
    if (this.#text.length > HELD_CHARS_MAX) this.#writeOut();
    // One system call for the lines of a burst.
    this.#textTimer ??= setTimeout(() => this.#writeOut(), TEXT_DELAY_MS);
  }

  #writeOut(): void {
    if (this.#textTimer !== null) clearTimeout(this.#textTimer);
    this.#textTimer = null;
    const text = this.#text;
    this.#text = "";
    if (text !== "") this.#write(text);
  }
}

function formatter(format: "auto" | "json" | "text"): (entry: LogEvent) => string {
  if (format === "json") return jsonLine;
  let chosen = format === "text" ? (entry: LogEvent) => textLine(entry, false) : null;
  return (entry) => {
    // Asked at the first line: finding out costs a module on Bun.
    chosen ??= stderrIsTerminal() ? (late) => textLine(late, isColorWanted()) : jsonLine;
    return chosen(entry);
  };
}

function isColorWanted(): boolean {
  try {
    return (process.env["NO_COLOR"] ?? "") === "";
  } catch {
    return true; // Deno without --allow-env.
  }
}
