// Regular expressions held against topic names: a program of states that are all followed at once (Thompson), so that
// no expression takes longer than its size times the name's. JavaScript's own engine backtracks and could be made to
// hang. Invariant: the whole name has to match. Kafka: TopicRegexResolver, com.google.re2j.

import { type CharSet, hasCode, PERL_SETS } from "./regex_sets.ts";
import { parseRegex, RegexError, type RegexNode } from "./regex_syntax.ts";

/** States at most: {1000} inside of {1000} is one expression too many. */
const STEPS_MAX = 10_000;
/** Nodes emitted at most: repeats of nothing make no states. */
const EMITTED_MAX = 10 * STEPS_MAX;
/** Well below 2^31, whatever the length of the next name. */
const MOMENT_MAX = 2_000_000_000;

type Step =
  | { readonly kind: "set"; readonly set: CharSet }
  | { readonly kind: "split"; first: number; second: number }
  | { readonly kind: "assert"; readonly what: "start" | "end" | "boundary" | "no_boundary" }
  | { readonly kind: "match" };

export class TopicRegex {
  readonly #steps: Step[] = [];
  /** When each state was reached last: at a position of a name, which no other position of any name shares. */
  readonly #reachedAt: Int32Array;
  #moment = 0;
  /** States visited so far, over all names: what matching has cost. */
  cost = 0;
  #emittedCount = 0;

  /** @throws {RegexError} when RE2 would refuse the pattern, or its program grows too large */
  constructor(pattern: string) {
    this.#emit(parseRegex(pattern));
    this.#push({ kind: "match" });
    this.#reachedAt = new Int32Array(this.#steps.length);
  }

  /** Whether all of the name matches. */
  matches(name: string): boolean {
    if (this.#moment > MOMENT_MAX) {
      this.#moment = 0;
      this.#reachedAt.fill(0);
    }
    let states: number[] = [];
    this.#moment++;
    this.#reach(0, name, 0, states);
    for (let at = 0; at < name.length && states.length > 0; at++) {
      const code = name.charCodeAt(at);
      const next: number[] = [];
      this.#moment++;
      for (const state of states) {
        this.cost++;
        const step = this.#steps[state]!;
        if (step.kind === "set" && hasCode(step.set, code)) {
          this.#reach(state + 1, name, at + 1, next);
        }
      }
      states = next;
    }
    return states.some((state) => this.#steps[state]!.kind === "match");
  }

  /** Adds a state, and those that it leads to without a character. */
  #reach(from: number, name: string, at: number, states: number[]): void {
    const open = [from];
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      if (this.#reachedAt[state] === this.#moment) continue;
      this.#reachedAt[state] = this.#moment;
      this.cost++;
      const step = this.#steps[state]!;
      if (step.kind === "split") open.push(step.second, step.first);
      else if (step.kind !== "assert") states.push(state);
      else if (holds(step.what, name, at)) open.push(state + 1);
    }
  }

  #emit(node: RegexNode): void {
    if (++this.#emittedCount > EMITTED_MAX) throw new RegexError("expression too large");
    switch (node.kind) {
      case "set":
      case "assert":
        this.#push(node);
        return;
      case "all":
        for (const each of node.nodes) this.#emit(each);
        return;
      case "any":
        this.#emitAny(node.nodes);
        return;
      case "repeat":
        this.#emitRepeat(node.node, node.min, node.max);
        return;
    }
  }

  #emitAny(nodes: readonly RegexNode[]): void {
    const ends: { first: number; second: number }[] = [];
    for (const [index, node] of nodes.entries()) {
      if (index === nodes.length - 1) {
        this.#emit(node);
        break;
      }
      const split = this.#split();
      split.first = this.#steps.length;
      this.#emit(node);
      ends.push(this.#split());
      split.second = this.#steps.length;
    }
    for (const end of ends) end.first = end.second = this.#steps.length;
  }

  #emitRepeat(node: RegexNode, min: number, max: number): void {
    for (let count = 0; count < min; count++) this.#emit(node);
    if (max === Number.POSITIVE_INFINITY) {
      const start = this.#steps.length;
      const split = this.#split();
      split.first = this.#steps.length;
      this.#emit(node);
      const back = this.#split();
      back.first = back.second = start;
      split.second = this.#steps.length;
      return;
    }
    const splits: { second: number }[] = [];
    for (let count = min; count < max; count++) {
      const split = this.#split();
      split.first = this.#steps.length;
      splits.push(split);
      this.#emit(node);
    }
    for (const split of splits) split.second = this.#steps.length;
  }

  #split(): { first: number; second: number } {
    const split = { kind: "split" as const, first: 0, second: 0 };
    this.#push(split);
    return split;
  }

  #push(step: Step): void {
    if (this.#steps.length >= STEPS_MAX) throw new RegexError("expression too large");
    this.#steps.push(step);
  }
}

function holds(
  what: "start" | "end" | "boundary" | "no_boundary",
  name: string,
  at: number,
): boolean {
  if (what === "start") return at === 0;
  if (what === "end") return at === name.length;
  const isBoundary = isWord(name, at - 1) !== isWord(name, at);
  return isBoundary === (what === "boundary");
}

function isWord(name: string, at: number): boolean {
  return at >= 0 && at < name.length && hasCode(PERL_SETS.w!, name.charCodeAt(at));
}
