// Ends what this program started when it is gone, however it ended: kill -9 runs no handler, and brokers in groups of their own
// live on. Invariant: a target is named to the watchdog as soon as it runs, until it has ended.

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";

/** Whoever started this program and reads what it tells is looked for so often. */
const LOOK_EVERY_MS = 1000;

/** Reads "+ TARGET" and "- TARGET", and at the end of its input kills who is left. A target is a process, or -PID: its group. */
const PROGRAM = `left=" "
while read -r change target; do
  case $change in
    +) left="$left$target " ;;
    -) left="\${left%% "$target" *} \${left#* "$target" }" ;;
  esac
done
for target in $left; do kill -s KILL -- "$target" 2>/dev/null; done`;

let dog: ChildProcess | null = null;

function tell(line: string): void {
  if (dog === null) {
    // In a group of its own: what is sent to this program's group must not end it.
    dog = spawn("sh", ["-c", PROGRAM], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
    dog.stdin!.on("error", () => {}); // nobody is left to be told: the exit handlers are still there
    dog.unref();
    (dog.stdin as { unref?: () => void }).unref?.();
  }
  dog.stdin!.write(`${line}\n`);
}

/** The child, or its whole group, ends with this program. */
export function endsWithUs(child: ChildProcess, isGroup: boolean): void {
  if (child.pid === undefined) return;
  const target = isGroup ? -child.pid : child.pid;
  tell(`+ ${target}`);
  child.once("exit", () => tell(`- ${target}`));
}

/** Ends this program when the check that runs it (RELAY_PID, from lib.sh) is gone: nobody would hear what it tells. */
export function endWithRelay(): void {
  const pid = Number(process.env["RELAY_PID"] ?? "0");
  if (pid <= 0) return;
  const timer = setInterval(() => {
    try {
      process.kill(pid, 0);
    } catch {
      process.exit(130);
    }
  }, LOOK_EVERY_MS);
  timer.unref();
}
