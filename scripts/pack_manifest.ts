// The package.json that is published, made of the repository's own: compiled targets, types, and only the
// dependencies that shipped code imports. check_exports holds it against the repository, pack.ts writes it.

type Table = Readonly<Record<string, string>>;

/** What of the repository's package.json the published one is made of. */
export interface SourceManifest {
  readonly name?: string;
  readonly version: string;
  readonly description?: string;
  readonly license?: string;
  readonly exports: Table;
  readonly dependencies: Table;
  readonly optionalDependencies?: Table;
}

export interface PublishedManifest {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly keywords: readonly string[];
  readonly license: string;
  readonly type: "module";
  readonly bin: Table;
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly sideEffects: false;
  readonly engines: Table;
  readonly dependencies: Table;
  readonly optionalDependencies: Table;
  readonly browser: Readonly<Record<string, false>>;
  readonly files: readonly string[];
}

/** Files that a published package has beside its compiled code. */
export const PUBLISHED_TEXTS = ["README.md", "LICENSE", "CHANGELOG.md"] as const;

/** The compiled file of a source: "./mod.ts" is "./mod.js". */
export function compiledName(source: string): string {
  return source.replace(/\.ts$/, ".js");
}

/** The package's name in an import, null for one of Node's or our own: "hono/sse" is of "hono". */
export function packageOf(specifier: string): string | null {
  if (/^(\.|\/|node:|bun:|cloudflare:)/.test(specifier)) return null;
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0]!;
}

/**
 * What would be published.
 *
 * @param imported Every specifier that shipped code imports.
 */
export function publishedManifest(
  source: SourceManifest,
  imported: ReadonlySet<string>,
): PublishedManifest {
  const used = new Set([...imported].map(packageOf));
  const kept = (table: Table): Table =>
    Object.fromEntries(Object.entries(table).filter(([name]) => used.has(name)));
  const optional = kept(source.optionalDependencies ?? {});
  return {
    name: source.name ?? "millrace",
    version: source.version,
    description: source.description ?? "",
    keywords: ["kafka", "event-log", "broker", "streaming", "bun", "deno", "workers"],
    license: source.license ?? "",
    type: "module",
    bin: { millrace: "bin/millrace.js" },
    exports: Object.fromEntries(
      Object.entries(source.exports).map(([name, target]) => [
        name,
        // "types" first: conditions are tried in the order in which they stand.
        { types: target.replace(/\.ts$/, ".d.ts"), default: compiledName(target) },
      ]),
    ),
    sideEffects: false,
    // 20.16 brought process.getBuiltinModule.
    engines: { node: ">=20.16", bun: ">=1.4", deno: ">=2.9" },
    dependencies: kept(source.dependencies),
    optionalDependencies: optional,
    // Native code, which its importers do without: wrangler, which bundles as for a browser, would find none of it.
    browser: Object.fromEntries(Object.keys(optional).map((name) => [name, false as const])),
    files: ["bin", "src", "plugins", "mod.js", "mod.d.ts", ...PUBLISHED_TEXTS],
  };
}

/** Packages that shipped code imports and nothing installs: they would be missing where only we are installed. */
export function undeclared(
  source: SourceManifest,
  imported: ReadonlySet<string>,
): readonly string[] {
  const declared = { ...source.dependencies, ...source.optionalDependencies };
  const names = new Set([...imported].map(packageOf));
  return [...names].filter(
    (name) => name !== null && name !== "millrace" && !(name in declared),
  ) as string[];
}
