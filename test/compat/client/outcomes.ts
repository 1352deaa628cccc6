// What the transcripts share: each step is told as a JSON line, with what it gave or how it was refused, in words that are the same for
// any broker.
import { ClientError } from "../../../mod.ts";
import { pause } from "../../support/waiting.ts";

const TRIES_MAX = 1_500;
const LOOK_MS = 20;

/** What a refusal says to programs. */
export type Told = (error: ClientError) => object;

/** Runs a step, and tells of it. */
export type Step = (name: string, call: () => Promise<unknown>) => Promise<void>;

/** @param run What names of this run begin with: told as RUN */
export function teller(
  run: string,
  told: Told = ({ code, retriable }) => ({ code, retriable }),
): Step {
  return async (name, call) => {
    let outcome: object;
    try {
      outcome = { value: (await call()) ?? null };
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      outcome = told(error);
    }
    console.log(JSON.stringify({ name, ...outcome }).replaceAll(run, "RUN"));
  };
}

/** Brokers learn a moment later of what was done: until then it is not so, or cannot be asked for. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    try {
      if (await isSo()) return;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
    }
    await pause(LOOK_MS);
  }
  throw new Error(`It never came to ${what}`);
}

/** Outcomes of admin calls without the broker's words. */
export const plain = (outcomes: readonly unknown[]) =>
  outcomes.map((each) => {
    const one = each as { ok: boolean; value?: unknown; error?: { code: string } };
    return one.ok ? { ok: true, value: one.value } : { ok: false, code: one.error!.code };
  });
