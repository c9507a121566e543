/** A Redis of one's own, for tests and benches: on loopback, on a free port, with nothing kept. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { freePort } from "./free_port.ts";

const START_MS_MAX = 10_000;

/** With `npm test -- --without-brokers` what needs a broker is skipped, and the skips are counted. */
export const withoutBrokers: boolean = process.env["FLOTILLA_WITHOUT_BROKERS"] === "1";

export interface Redis extends AsyncDisposable {
  readonly url: string;
  /** Ends it at once, as a crash does, and starts another run on the same port. */
  restart(): Promise<void>;
  /** Lets it stand still, and go on. */
  pause(): void;
  resume(): void;
}

/** Undefined where `redis-server` (Debian: the package of that name) is not installed. Default: any free port. */
export async function startRedis(atPort?: number): Promise<Redis | undefined> {
  const port = atPort ?? await freePort();
  let run = await startOn(port);
  if (run === undefined) return undefined;
  const end = async (signal: "SIGTERM" | "SIGKILL"): Promise<void> => {
    if (run === undefined) return;
    for (const each of ["SIGCONT", signal] as const) send(run, each);
    await run.ended;
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    async restart() {
      await end("SIGKILL");
      run = await startOn(port);
    },
    pause: () => send(run, "SIGSTOP"),
    resume: () => send(run, "SIGCONT"),
    [Symbol.asyncDispose]: () => end("SIGTERM"),
  };
}

/** For tests, before which `npm test` has installed what is missing. */
export async function demandRedis(atPort?: number): Promise<Redis> {
  const found = await startRedis(atPort);
  if (found !== undefined) return found;
  throw new Error(
    "these tests need redis-server: npm test installs it; npm test -- --without-brokers skips them",
  );
}

/** A broker that other clusters may use too: it is not harmed, and who is on it takes names of his own. */
export interface SomeBroker extends AsyncDisposable {
  readonly url: string;
}

/** The one that REDIS_URL names, else one of one's own. */
export async function someRedis(): Promise<SomeBroker> {
  return namedBroker("REDIS_URL") ?? await demandRedis();
}

/** What somebody else started, and ends. */
export function namedBroker(variable: string): SomeBroker | undefined {
  const url = process.env[variable] ?? "";
  return url === "" ? undefined : { url, [Symbol.asyncDispose]: () => Promise.resolve() };
}

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

/** By its pid: Deno's children take a single signal. */
function send(run: Run | undefined, signal: "SIGCONT" | "SIGKILL" | "SIGSTOP" | "SIGTERM"): void {
  const pid = run?.child.pid;
  if (pid !== undefined && run?.child.exitCode === null && run.child.signalCode === null) {
    process.kill(pid, signal);
  }
}

async function startOn(port: number): Promise<Run | undefined> {
  const options = ["--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"];
  const child = spawn("redis-server", options, { stdio: ["ignore", "pipe", "ignore"] });
  // A test that ran out of time leaves none behind either.
  const kill = (): void => void child.kill("SIGKILL");
  process.on("exit", kill);
  const ended = new Promise<void>((resolve) =>
    child.on("exit", () => {
      process.off("exit", kill);
      resolve();
    })
  );
  const started = await new Promise<boolean>((resolve, reject) => {
    child.on("error", () => resolve(false));
    child.on("exit", () => reject(new Error(`start redis-server on port ${port}: it ended`)));
    setTimeout(() => reject(new Error(`start redis-server: not ready in ${START_MS_MAX} ms`)), START_MS_MAX)
      .unref();
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      if (text.includes("Ready to accept connections")) resolve(true);
    });
  });
  return started ? { child, ended } : undefined;
}
