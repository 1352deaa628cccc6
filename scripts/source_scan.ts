// Reads TypeScript just far enough for the checks: code without its comments, strings and regular expressions,
// and the import statements of a file.
// Invariant: `codeOnly` keeps every offset and line break, so a position in it is a position in the source.

/** One import or re-export as written. */
export interface Import {
  /** As written; null for a dynamic import of something that is not a literal. */
  readonly specifier: string | null;
  readonly kind: "value" | "type" | "dynamic";
  /** From 1. */
  readonly line: number;
}

const wordsBeforeRegex = new Set(
  "return typeof case in of delete void throw new else do await yield instanceof".split(" "),
);

function regexMayStart(code: readonly string[]): boolean {
  let at = code.length - 1;
  while (at >= 0 && /\s/.test(code[at]!)) at--;
  if (at < 0) return true;
  const last = code[at]!;
  if (/[\w$]/.test(last)) {
    let start = at;
    while (start > 0 && /[\w$]/.test(code[start - 1]!)) start--;
    return wordsBeforeRegex.has(code.slice(start, at + 1).join(""));
  }
  return !/[)\]}"'`]/.test(last);
}

/** The source with comments and the insides of strings, templates and regular expressions turned into spaces. */
export function codeOnly(source: string): string {
  const out: string[] = [];
  /** For each open template expression, the braces open inside it. */
  const templateDepths: number[] = [];
  let at = 0;

  const keep = (count: number): void => {
    for (let n = 0; n < count; n++) out.push(source[at++]!);
  };
  const drop = (count: number): void => {
    for (let n = 0; n < count && at < source.length; n++) {
      const char = source[at++]!;
      out.push(char === "\n" ? "\n" : " ");
    }
  };
  const dropTemplateText = (): void => {
    while (at < source.length && source[at] !== "`") {
      if (source[at] === "$" && source[at + 1] === "{") {
        templateDepths.push(0);
        keep(2);
        return;
      }
      drop(source[at] === "\\" ? 2 : 1);
    }
    if (at < source.length) keep(1);
  };

  while (at < source.length) {
    const char = source[at]!;
    const next = source[at + 1];
    if (char === "/" && next === "/") {
      while (at < source.length && source[at] !== "\n") drop(1);
    } else if (char === "/" && next === "*") {
      drop(2);
      while (at < source.length && !(source[at] === "*" && source[at + 1] === "/")) drop(1);
      drop(2);
    } else if (char === '"' || char === "'") {
      keep(1);
      while (at < source.length && source[at] !== char && source[at] !== "\n") {
        drop(source[at] === "\\" ? 2 : 1);
      }
      if (source[at] === char) keep(1);
    } else if (char === "`") {
      keep(1);
      dropTemplateText();
    } else if (char === "/" && regexMayStart(out)) {
      keep(1);
      for (let inClass = false; at < source.length && source[at] !== "\n"; ) {
        if (source[at] === "\\") drop(2);
        else if (source[at] === "/" && !inClass) break;
        else {
          if (source[at] === "[") inClass = true;
          else if (source[at] === "]") inClass = false;
          drop(1);
        }
      }
      if (source[at] === "/") keep(1);
    } else if (templateDepths.length > 0 && char === "}" && templateDepths.at(-1) === 0) {
      templateDepths.pop();
      keep(1);
      dropTemplateText();
    } else {
      if (templateDepths.length > 0) {
        if (char === "{") templateDepths[templateDepths.length - 1]!++;
        else if (char === "}") templateDepths[templateDepths.length - 1]!--;
      }
      keep(1);
    }
  }
  return out.join("");
}

export function lineAt(source: string, position: number): number {
  let line = 1;
  for (
    let at = source.indexOf("\n");
    at !== -1 && at < position;
    at = source.indexOf("\n", at + 1)
  ) {
    line++;
  }
  return line;
}

/** Every static import, re-export, side-effect import and dynamic import of a file. */
export function importsOf(source: string): readonly Import[] {
  const code = codeOnly(source);
  const found: Import[] = [];
  for (const match of code.matchAll(/(?<![\w$.#])(import|export)(?![\w$])/g)) {
    const start = match.index + match[0].length;
    const rest = code.slice(start);
    const add = (quoteAt: number, kind: Import["kind"]): void => {
      const quote = start + quoteAt;
      const end = code.indexOf(code[quote]!, quote + 1);
      found.push({
        specifier: source.slice(quote + 1, end),
        kind,
        line: lineAt(source, match.index),
      });
    };
    if (match[1] === "import") {
      const called = /^\s*\(\s*/.exec(rest);
      if (called !== null) {
        if (/["']/.test(rest[called[0].length] ?? "")) add(called[0].length, "dynamic");
        else found.push({ specifier: null, kind: "dynamic", line: lineAt(source, match.index) });
        continue;
      }
      const bare = /^\s*(?=["'])/.exec(rest);
      if (bare !== null) {
        add(bare[0].length, "value");
        continue;
      }
    }
    const clause =
      match[1] === "import"
        ? /^\s*(type\s+(?!from\b|,))?[\w$\s{},*]*?\bfrom\s*(?=["'])/.exec(rest)
        : /^\s*(type\s*(?=[{*]))?(?:\*(?:\s*as\s+[\w$]+)?|\{[^}]*\})\s*from\s*(?=["'])/.exec(rest);
    if (clause !== null) add(clause[0].length, clause[1] === undefined ? "value" : "type");
  }
  return found;
}
