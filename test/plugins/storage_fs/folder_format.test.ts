import { describe, expect, test } from "bun:test";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";
import {
  type RecordedFiles,
  recordingFiles,
} from "../../../src/testing/power_loss/recording_files.ts";

const FORMAT = "data/broker-1/format.json";

describe("the format of a broker's folder", () => {
  test("is written into a new folder", async () => {
    const { layer } = recordingFiles();
    await (await open(layer)).close();
    expect(contentOf(layer, FORMAT)).toBe('{"format":1}\n');
  });

  test("that is newer is refused with version, and nothing is touched", async () => {
    const { layer } = await formatted('{"format":2,"more":[]}');
    const error = await refusal(layer);
    expect(error.code).toBe("version");
    expect(error.message).toContain("its format is 2 and this Millrace reads up to 1");
    expect(contentOf(layer, FORMAT)).toBe('{"format":2,"more":[]}');
    expect(layer.list("data/broker-1")).toEqual([{ name: "format.json", isDirectory: false }]);
  });

  test("that cannot be told is refused with corrupt", async () => {
    for (const text of ["", "{", '{"format":0}', '{"format":"1"}', "null", "1"]) {
      const { layer } = await formatted(text);
      expect((await refusal(layer)).code).toBe("corrupt");
    }
  });

  test("that is missing beside segments is refused with corrupt", async () => {
    const { layer } = recordingFiles();
    layer.makeDirectory("data");
    layer.makeDirectory("data/broker-1");
    layer.close(layer.open("data/broker-1/journal", "create"));
    const error = await refusal(layer);
    expect(error.code).toBe("corrupt");
    expect(error.message).toContain('holds "journal" but no format.json');
  });

  test("left unfinished by a start that was cut short is written anew", async () => {
    const { layer } = recordingFiles();
    layer.makeDirectory("data");
    layer.makeDirectory("data/broker-1");
    layer.close(layer.open(`${FORMAT}~`, "create"));
    await (await open(layer)).close();
    expect(contentOf(layer, FORMAT)).toBe('{"format":1}\n');
  });

  test("file is no segment", async () => {
    const { layer } = recordingFiles();
    const storage = await open(layer);
    const segments = storage.segments!;
    expect(await segments.list("")).toEqual([]);
    await expect(segments.open("format.json", { create: true })).rejects.toThrow("format.json");
    await (await segments.open("p/format.json", { create: true })).close();
    await storage.close();
  });
});

function open(files: RecordedFiles) {
  return storageFs({ directory: "data/", files }).open(pluginContext());
}

async function formatted(text: string) {
  const recording = recordingFiles();
  const { layer } = recording;
  await (await open(layer)).close();
  await layer.unlink(FORMAT);
  const fd = layer.open(FORMAT, "create");
  layer.write(fd, [new TextEncoder().encode(text)], 0);
  layer.close(fd);
  return recording;
}

function contentOf(layer: RecordedFiles, path: string): string {
  const fd = layer.open(path, "read");
  const bytes = new Uint8Array(100);
  const count = layer.read(fd, bytes, 0);
  layer.close(fd);
  return new TextDecoder().decode(bytes.subarray(0, count));
}

async function refusal(files: RecordedFiles): Promise<StorageError> {
  try {
    await open(files);
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
  throw new Error("the folder opened");
}
