// How a log line looks: one JSON object a line for programs, aligned text for a person at a terminal.
// Invariant: one event is one line, whatever its fields hold.

import type { LogFields } from "../contracts/runtime.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export const LOG_LEVELS = ["debug", "info", "warn", "error", "off"] as const;
export type LogThreshold = (typeof LOG_LEVELS)[number];

export interface LogEvent {
  readonly wallMs: number;
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: LogFields;
}

/** `{"time":"…","level":"info","event":"broker_started",…}` and a line feed. */
export function jsonLine(entry: LogEvent): string {
  const { time: _time, level: _level, event: _event, ...fields } = entry.fields;
  return `${JSON.stringify(
    {
      time: new Date(entry.wallMs).toISOString(),
      level: entry.level,
      event: entry.event,
      ...fields,
    },
    (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value),
  )}\n`;
}

const COLORS: Record<LogLevel, string> = { debug: "2", info: "32", warn: "33", error: "31" };

/** `12:00:00.000 info  broker_started port=9092` and a line feed; times are local. */
export function textLine(entry: LogEvent, isColored: boolean): string {
  const at = new Date(entry.wallMs);
  const two = (part: number) => String(part).padStart(2, "0");
  const time =
    `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}` +
    `.${String(at.getMilliseconds()).padStart(3, "0")}`;
  const level = entry.level.padEnd(5);
  let line = isColored
    ? `\x1b[2m${time}\x1b[0m \x1b[${COLORS[entry.level]}m${level}\x1b[0m ${entry.event}`
    : `${time} ${level} ${entry.event}`;
  for (const [name, value] of Object.entries(entry.fields)) {
    if (value === undefined) continue;
    const text = String(value);
    const shown = /^[^\s"=\p{Cc}]+$/u.test(text) ? text : JSON.stringify(text);
    line += isColored ? ` \x1b[2m${name}=\x1b[0m${shown}` : ` ${name}=${shown}`;
  }
  return `${line}\n`;
}
