// The minimal plugins that docs/plugins shows are taken from the pages and run through the suites.

import { afterAll, describe, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { MetadataStorePlugin } from "../../src/contracts/metadata_store.ts";
import type { StoragePlugin } from "../../src/contracts/storage.ts";
import { metadataStoreConformance } from "../../src/testing/conformance/metadata_store.ts";
import { segmentStoreConformance } from "../../src/testing/conformance/segments.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-docs-"));
afterAll(() => fs.rmSync(folder, { recursive: true }));

const { storageMap } = (await shownIn("storage.md")) as { storageMap: () => StoragePlugin };
const { metadataMap } = (await shownIn("metadata_store.md")) as {
  metadataMap: (options: { historyRevisionsMax: number }) => MetadataStorePlugin;
};

describe("the storage plugin of docs/plugins/storage.md", () => {
  segmentStoreConformance({ isVolatile: true, open: () => ({ plugin: storageMap() }) });
});

describe("the metadata store plugin of docs/plugins/metadata_store.md", () => {
  metadataStoreConformance({
    open: () => ({ plugin: metadataMap({ historyRevisionsMax: 100 }), historyRevisionsMax: 100 }),
  });
});

test("the pages name the suites as they are exported", () => {
  expect(pageOf("storage.md")).toContain(`${segmentStoreConformance.name}({`);
  expect(pageOf("metadata_store.md")).toContain(`${metadataStoreConformance.name}({`);
});

/** The first block of TypeScript on a page, as a module. */
async function shownIn(page: string): Promise<unknown> {
  const [, code] = /```ts\n([\s\S]*?)```/.exec(pageOf(page)) ?? [];
  if (code === undefined) throw new Error(`${page} shows no plugin`);
  const contracts = new URL("../../src/contracts/mod.ts", import.meta.url).href;
  const file = path.join(folder, page.replace(".md", ".ts"));
  fs.writeFileSync(file, code.replace('"millrace/contracts"', JSON.stringify(contracts)));
  return await import(pathToFileURL(file).href);
}

function pageOf(page: string): string {
  return fs.readFileSync(new URL(`../../docs/plugins/${page}`, import.meta.url), "utf8");
}
