// Runs a scenario of promises over recorded files and looks for a power loss that breaks one: shared by
// the proofs that every single sync of storage-fs and metadata-file is needed.

import { SeededRandom } from "../../src/base/prng.ts";
import {
  type RecordedFiles,
  type Recording,
  type RecordingOptions,
  recordingFiles,
} from "../../src/testing/power_loss/recording_files.ts";

/** What must hold on every disk that a power loss at this point may leave. */
interface Promised {
  readonly point: number;
  readonly what: string;
  check(files: RecordedFiles): Promise<void>;
}

export interface Scenario {
  /** Calls the store; after each await it may say what is promised from there. */
  run(
    recording: Recording,
    promise: (what: string, check: (files: RecordedFiles) => Promise<void>) => void,
  ): Promise<void>;
  /** Holds on every disk at every point: the store opens. */
  opens(files: RecordedFiles): Promise<void>;
}

/** Random disks tried where something is promised, and at every other point. */
const STATES_PROMISED = 40;
const STATES_BETWEEN = 10;

/** How a promise was broken, or null when no power loss that was tried breaks one. */
export async function brokenPromise(
  scenario: Scenario,
  options: RecordingOptions,
): Promise<{ readonly broken: string | null; readonly syncCount: number }> {
  const recording = recordingFiles(options);
  const promised: Promised[] = [];
  await scenario.run(recording, (what, check) => {
    promised.push({ point: recording.points(), what, check });
  });
  return {
    broken: await firstBroken(recording, promised, scenario),
    syncCount: recording.syncs().length,
  };
}

/** Every sync that can be taken out of a run without breaking a promise, but for the first `skip`. */
export async function needlessSyncs(scenario: Scenario, skip: number): Promise<readonly string[]> {
  const { syncCount } = await brokenPromise(scenario, {});
  const needless: string[] = [];
  for (let index = skip; index < syncCount; index++) {
    let dropped = "";
    const { broken } = await brokenPromise(scenario, {
      dropSync(sync) {
        if (sync.index !== index) return false;
        dropped = `${index}: ${sync.what} ${sync.path}`;
        return true;
      },
    });
    if (broken === null) needless.push(dropped);
  }
  return needless;
}

async function firstBroken(
  recording: Recording,
  promised: readonly Promised[],
  scenario: Scenario,
): Promise<string | null> {
  for (const { point, what, check } of promised) {
    for (const survivors of statesAt(point, STATES_PROMISED)) {
      try {
        await check(recording.rebuild(point, survivors).layer);
      } catch (error) {
        return `${what}: ${error}`;
      }
    }
  }
  for (let point = 0; point <= recording.points(); point++) {
    for (const survivors of statesAt(point, STATES_BETWEEN)) {
      try {
        await scenario.opens(recording.rebuild(point, survivors).layer);
      } catch (error) {
        return `does not open at point ${point}: ${error}`;
      }
    }
  }
  return null;
}

function* statesAt(
  point: number,
  randomCount: number,
): Iterable<"nothing" | "everything" | SeededRandom> {
  yield "nothing";
  yield "everything";
  for (let i = 0; i < randomCount; i++) yield SeededRandom.of(`${point}/${i}`);
}
