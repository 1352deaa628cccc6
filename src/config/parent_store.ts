// The metadata store that a parent process keeps for the brokers it starts: a file store below the data folder, served on loopback.
// Invariant: what is returned is open, and nobody gets in without the token.

import type { Runtime } from "../contracts/runtime.ts";

/** Random bytes of the token. */
const TOKEN_BYTES = 32;

export interface ParentStore {
  readonly port: number;
  readonly token: string;
  close(): Promise<void>;
}

/** @throws {MetadataStoreError} "locked" while another process has that folder's metadata open */
export async function openParentStore(directory: string, runtime: Runtime): Promise<ParentStore> {
  const [{ metadataFile }, { serveStore }] = await Promise.all([
    import("../../plugins/metadata-file/mod.ts"),
    import("../../plugins/metadata-parent/mod.ts"),
  ]);
  const store = await metadataFile({ directory }).open({ runtime, brokerId: 0 });
  const bytes = runtime.random.fork("parent_token").fill(new Uint8Array(TOKEN_BYTES));
  const token = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    const served = await serveStore(store, runtime, token);
    return {
      port: served.port,
      token,
      async close() {
        await served.close();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}
