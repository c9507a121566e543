/** A bench's process as its parent sees it, and as it sees its parent: one JSON value a line, each way. */
import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";

/** How long any single command may take. */
const ANSWER_MS_MAX = 60_000;
/** From the order to stop until the process is killed; writing a CPU profile takes its time. */
const STOP_MS_MAX = 15_000;
const ERRORS_CHARS_MAX = 8_192;

/** What a worker does on each command, by name. Whatever it returns is the answer. */
export type Commands = Readonly<Record<string, (argument: never) => unknown>>;

export interface Worker extends AsyncDisposable {
  readonly pid: number;
  /** What the worker said first. */
  readonly ready: unknown;
  /** Has the worker run one command; rejects with what it threw, when it died, and after a minute. */
  ask(command: string, argument?: unknown): Promise<unknown>;
}

type Answer = { readonly value: unknown } | { readonly error: string };

/** Starts a program that calls `serveCommands`; resolves when that says it is ready. */
export async function startWorker(command: string, args: readonly string[]): Promise<Worker> {
  const child = spawn(command, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  const name = args.filter((argument) => !argument.startsWith("-")).join(" ");
  const waiting: ((answer: Answer) => void)[] = [];
  let errors = "";
  let died = false;
  child.stderr.setEncoding("utf8").on(
    "data",
    (text: string) => errors = (errors + text).slice(-ERRORS_CHARS_MAX),
  );
  createInterface({ input: child.stdout }).on(
    "line",
    (line) => waiting.shift()?.(JSON.parse(line) as Answer),
  );
  const ended = new Promise<void>((resolve) => {
    const end = (why: string): void => {
      died = true;
      for (const hear of waiting.splice(0)) hear({ error: `${why}\n${errors}` });
      resolve();
    };
    child.on("error", (error) => end(error.message));
    child.on("close", (code, signal) => end(`ended with ${code ?? signal}`));
  });
  const answer = async (what: string): Promise<unknown> => {
    if (died) throw new Error(`${name}: ${what}: it has ended\n${errors}`);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = await new Promise<Answer>((resolve) => {
      waiting.push(resolve);
      const late = { error: `no answer within ${ANSWER_MS_MAX} ms\n${errors}` };
      timer = setTimeout(() => resolve(late), ANSWER_MS_MAX);
    });
    clearTimeout(timer);
    if ("error" in heard) throw new Error(`${name}: ${what}: ${heard.error}`);
    return heard.value;
  };
  const stop = async (): Promise<void> => {
    const kill = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    child.stdin.end();
    await ended;
    clearTimeout(kill);
  };
  try {
    const ready = await answer("start");
    return {
      pid: child.pid ?? -1,
      ready,
      ask(what, argument = null) {
        child.stdin.write(`${JSON.stringify({ command: what, argument })}\n`);
        return answer(what);
      },
      [Symbol.asyncDispose]: stop,
    };
  } catch (thrown) {
    child.kill("SIGKILL");
    throw thrown;
  }
}

/** In the worker: says `ready`, then runs commands one after the other until the parent hangs up, then `stop`. */
export async function serveCommands(
  ready: unknown,
  commands: Commands,
  stop: () => Promise<void>,
): Promise<void> {
  const say = (answer: Answer): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);
  say({ value: ready });
  for await (const line of createInterface({ input: process.stdin })) {
    const { command, argument } = JSON.parse(line) as { command: string; argument: never };
    try {
      const run = commands[command];
      if (run === undefined) throw new Error(`there is no command ${command}`);
      say({ value: await run(argument) ?? null });
    } catch (thrown) {
      say({ error: thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown) });
    }
  }
  await stop();
  // What a contender's library leaves open must not keep the process; a profile is written all the same.
  process.exit(0);
}

/** Milliseconds of processor time this process has used. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
