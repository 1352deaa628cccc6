// Strangers' clients in groups, one scenario after another: BOOTSTRAP=… bun drive.ts CLIENT…      (see run.sh)
// JOBS scenarios of a client run beside each other (default 3). Prints "ok name" and "not ok name why".
import { CLIENTS, type GroupClient, type Scenario } from "./clients.ts";
import { GroupRun, pause, until } from "./group_run.ts";
import type { Host, MemberOptions } from "./host.ts";

const bootstrap = process.env["BOOTSTRAP"] ?? "";
const jobs = Number(process.env["JOBS"] ?? "3");
/** Only checks whose name holds this run. */
const only = process.env["ONLY"] ?? "";
const run = `${Date.now() % 1e8}`;
const SESSION_MS = 6000;
/** Also from a broker whose groups take their time: rebalances of clients that heartbeat twice a second. */
const SETTLE_MS = 30_000;

let failed = 0;
function told(name: string, began: number, error?: unknown, note = ""): void {
  const tookMs = Date.now() - began;
  if (error === undefined) console.log(`ok ${name} (${tookMs} ms)${note}`);
  else {
    failed++;
    console.log(`not ok ${name} ${String(error).replaceAll("\n", " ").slice(0, 900)}`);
  }
}

type Check = readonly [name: string, call: () => Promise<string | undefined>];

function commonOf(scenario: Pick<Scenario, "protocol" | "assignor" | "commit">): MemberOptions {
  const { protocol, assignor, commit } = scenario;
  return { protocol, assignor, commit, session: SESSION_MS, heartbeat: 300 };
}

async function withRun(
  client: GroupClient,
  host: Host,
  name: string,
  common: MemberOptions,
  use: (group: GroupRun) => Promise<string | undefined>,
): Promise<string | undefined> {
  const group = new GroupRun({
    host,
    bootstrap,
    group: `${name}-${run}`,
    common,
    settleMs: SETTLE_MS,
    ...(client.infersOwners === true ? { infersOwners: true } : {}),
    ...(client.isStrict === true ? { isStrict: true } : {}),
    ...(client.leavesQuietly === true ? { leavesQuietly: true } : {}),
  });
  try {
    await group.open();
    return await use(group);
  } finally {
    await group.close();
  }
}

/** The arithmetic while data flows, then a restart that goes on where it was committed. */
function arithmetic(client: GroupClient, host: Host, scenario: Scenario): Check {
  const name = [client.name, scenario.protocol, scenario.assignor, scenario.commit]
    .filter((each) => each !== undefined)
    .join("_");
  return [
    name,
    () =>
      withRun(client, host, name, commonOf(scenario), async (group) => {
        const took: string[] = [];
        group.startFlow();
        for (const size of scenario.sizes) {
          await group.resize(size);
          took.push(`${size}: ${await group.settled()}`);
        }
        await group.stopFlow();
        await group.allRead();
        await pause(300); // an automatic commit's interval
        await group.resize(0);
        await group.committedAll();
        group.notTwice();
        const { repeats } = group;
        group.forgetRead();
        await group.produce(30);
        group.join();
        await group.settled();
        await group.allRead();
        if (group.repeats > 0) throw new Error(`${group.repeats} records again after a restart`);
        await pause(300);
        await group.resize(0);
        await group.committedAll();
        return ` settled in ms: ${took.join(", ")}; ${repeats} records read twice on the way`;
      }),
  ];
}

/** A member dies without a word; the others take over within its session. */
function death(client: GroupClient, host: Host, scenario: Scenario): Check {
  const name = `${client.name}_${scenario.protocol}_dies_without_a_word`;
  return [
    name,
    () =>
      withRun(client, host, name, commonOf(scenario), async (group) => {
        const mortal = client.start(bootstrap);
        try {
          group.startFlow();
          group.join();
          const dying = group.join({}, mortal);
          await group.settled();
          mortal.kill();
          group.forget(dying);
          const began = Date.now();
          await group.settled();
          const tookMs = Date.now() - began;
          if (tookMs > 2 * SESSION_MS + 2000) throw new Error(`taken over after ${tookMs} ms`);
          await group.stopFlow();
          await group.allRead();
          await pause(300);
          await group.resize(0);
          await group.committedAll();
          return ` taken over in ${tookMs} ms`;
        } finally {
          mortal.kill();
        }
      }),
  ];
}

/** A static member comes back to its partitions and nobody notices; a second of its name is told apart. */
function statics(client: GroupClient, host: Host, protocol: "classic" | "consumer"): Check {
  const name = `${client.name}_${protocol}_static_members`;
  const assignor = protocol === "classic" ? "range" : undefined;
  return [
    name,
    () =>
      withRun(
        client,
        host,
        name,
        commonOf({ protocol, commit: "auto", ...(assignor === undefined ? {} : { assignor }) }),
        async (group) => {
          group.startFlow();
          const first = group.join({ instance: "one" });
          const second = group.join({ instance: "two" });
          await group.settled();
          const before = [...first.owned!].sort().join();
          const told = second.assignments;
          await group.leave(first);
          const again = group.join({ instance: "one" });
          await group.settled();
          const after = [...again.owned!].sort().join();
          if (after !== before) throw new Error(`came back to ${after}, not to ${before}`);
          if (second.assignments !== told) throw new Error("the other one was rebalanced");
          // a third of the same name: classic fences the one before it, the newer protocol refuses it
          const third = group.join({ instance: "one" });
          const loser = protocol === "classic" ? again : third;
          await until(
            () => loser.failure !== "",
            15_000,
            () => `${loser.name} was not fenced`,
          );
          const words = protocol === "classic" ? /fenced/i : /unreleased|instance ?id/i;
          if (!words.test(loser.failure)) throw new Error(`fenced with ${loser.failure}`);
          group.members.splice(group.members.indexOf(loser), 1);
          await group.settled();
          await group.stopFlow();
          await group.allRead();
          return "";
        },
      ),
  ];
}

/** A live group goes over to the newer protocol and back, member by member. */
function migration(client: GroupClient, host: Host): Check {
  const name = `${client.name}_group_migrates_and_comes_back`;
  const common = commonOf({ protocol: "classic", assignor: "range", commit: "auto" });
  return [
    name,
    () =>
      withRun(client, host, name, common, async (group) => {
        group.startFlow();
        await group.resize(2);
        await group.settled();
        const old = group.members.slice();
        const newer = { protocol: "consumer", assignor: undefined };
        const first = group.join(newer);
        await group.settled();
        await group.leave(old[0]!);
        const second = group.join(newer);
        await group.settled();
        await group.leave(old[1]!);
        await group.settled();
        const back = group.join();
        await group.settled();
        await group.leave(first);
        await group.settled();
        await group.leave(second);
        await group.settled();
        await group.stopFlow();
        await group.allRead();
        await pause(300);
        await group.leave(back);
        await group.committedAll();
        return "";
      }),
  ];
}

function checksOf(client: GroupClient, host: Host): Check[] {
  const protocols = new Map(client.scenarios.map((each) => [each.protocol, each]));
  const checks = client.scenarios.map((each) => arithmetic(client, host, each));
  for (const scenario of protocols.values()) checks.push(death(client, host, scenario));
  for (const protocol of client.statics) checks.push(statics(client, host, protocol));
  if (client.migrates === true) checks.push(migration(client, host));
  return checks.filter(([name]) => name.includes(only));
}

async function runClient(client: GroupClient): Promise<void> {
  const host = client.start(bootstrap);
  const waiting = checksOf(client, host);
  const worker = async () => {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
      const began = Date.now();
      try {
        told(check[0], began, undefined, (await check[1]()) ?? "");
      } catch (error) {
        told(check[0], began, error);
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  host.kill();
}

const names = process.argv.slice(2);
for (const name of names) {
  const client = CLIENTS.find((each) => each.name === name);
  if (client === undefined) throw new Error(`no client ${name}`);
  await runClient(client);
}
process.exit(failed === 0 ? 0 : 1);
