// The file calls that metadata-file makes: fewer than there are, so that a layer for tests has less to fake.

import type { FileLayer as AllCalls } from "../../src/files/file_layer.ts";

/** File calls. Errors are those of node:fs: thrown, with a `code` such as "ENOENT" or "ENOSPC". */
export type FileLayer = Omit<AllCalls, "readLater" | "writeLater" | "removeDirectory" | "volume">;
