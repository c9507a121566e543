/** Child processes for tests: what they print, waiting for a line, and a certain end. For `*.mixed.test.ts`. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";

/** What is kept of a child's output, in characters. */
const OUTPUT_CHARS_MAX = 256_000;
/** How long `waitFor` and `ended` wait when not told. */
const WAIT_MS = 30_000;

/** Ends every child that runs. */
const running = new Set<() => void>();
process.on("exit", () => running.forEach((kill) => kill()));

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
  /** Everything it printed, both streams in the order of arrival. */
  readonly output: string;
}

export interface Child extends AsyncDisposable {
  readonly pid: number;
  /** Both streams so far, in the order of arrival. */
  readonly output: string;
  /** Resolves with the first match in the output so far or to come; rejects when the child ends first or at the deadline. */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  /** Resolves when the child has ended by itself; rejects at the deadline. */
  ended(timeoutMs?: number): Promise<Ended>;
  /** Sends a signal to the child alone. */
  signal(name: "SIGINT" | "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT"): void;
  /** Kills the child and what it started; resolves when it is gone. */
  kill(): Promise<void>;
}

export interface ChildOptions {
  readonly cwd?: string;
  /** Added to this process's environment; undefined removes. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Starts a program in a process group of its own, without a terminal or standard input. */
export function startChild(command: string, args: readonly string[], options: ChildOptions = {}): Child {
  const child: ChildProcess = spawn(command, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, NO_COLOR: "1", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const name = [command.split("/").at(-1), ...args].join(" ");
  const pid = child.pid ?? -1;
  const watchers = new Set<() => void>();
  const wake = (): void => [...watchers].forEach((watcher) => watcher());
  let output = "";
  let ended: Ended | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8");
    stream?.on("data", (text: string) => {
      output = (output + text).slice(-OUTPUT_CHARS_MAX);
      wake();
    });
  }
  const killGroup = (): void => {
    if (pid <= 0) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // Nobody is left in the group.
    }
  };
  // A test that ran out of time leaves no child behind either.
  running.add(killGroup);
  const finish = (code: number | null, signal: string | null): void => {
    ended ??= { code, signal, output };
    running.delete(killGroup);
    wake();
  };
  child.on("close", finish);
  child.on("error", (error) => {
    output += error.message;
    finish(null, null);
  });

  /** Resolves with the first defined `look()`, asked now and after every change. */
  function until<Found>(what: string, timeoutMs: number, look: () => Found | undefined): Promise<Found> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        watchers.delete(watch);
        act();
      };
      const watch = (): void => {
        try {
          const found = look();
          if (found !== undefined) settle(() => resolve(found));
        } catch (thrown) {
          settle(() => reject(thrown instanceof Error ? thrown : new Error(String(thrown))));
        }
      };
      const timer = setTimeout(() => {
        settle(() => reject(new Error(`${name}: ${what} took longer than ${timeoutMs} ms:\n${output}`)));
      }, timeoutMs);
      watchers.add(watch);
      watch();
    });
  }

  const self: Child = {
    pid,
    get output() {
      return output;
    },
    waitFor: (pattern, timeoutMs = WAIT_MS) =>
      until(`waiting for ${pattern}`, timeoutMs, () => {
        const found = output.match(pattern);
        if (found !== null) return found;
        if (ended === undefined) return undefined;
        throw new Error(`${name}: ended with ${ended.code ?? ended.signal} before ${pattern}:\n${output}`);
      }),
    ended: (timeoutMs = WAIT_MS) => until("ending", timeoutMs, () => ended),
    signal: (signal) => void child.kill(signal),
    async kill() {
      killGroup();
      await until("being killed", WAIT_MS, () => ended);
    },
    [Symbol.asyncDispose]: () => self.kill(),
  };
  return self;
}

/** Runs a program to its end; rejects at the deadline, after killing it. */
export async function runChild(
  command: string,
  args: readonly string[],
  options: ChildOptions & { readonly timeoutMs?: number } = {},
): Promise<Ended> {
  const child = startChild(command, args, options);
  try {
    return await child.ended(options.timeoutMs);
  } finally {
    await child.kill();
  }
}
