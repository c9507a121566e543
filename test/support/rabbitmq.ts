/** A RabbitMQ of one's own, for tests and benches: on loopback, on free ports, in a folder that goes with it. */
import { execFile, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { freePort } from "./free_port.ts";
import { namedBroker, type SomeBroker } from "./redis.ts";

/** It takes some ten seconds when nothing else runs. */
const START_MS_MAX = 90_000;
const STOP_MS_MAX = 20_000;
/** Debian's: the script in the path changes the user first. */
const SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/** `rabbitmqctl` would take two seconds of processor time to say a word. */
const CALL = "/usr/bin/erl_call";

export interface RabbitMq extends AsyncDisposable {
  readonly url: string;
  /** Ends it at once, as a crash does, and starts another run on the same port. */
  restart(): Promise<void>;
  /** Lets it stand still, and go on. */
  pause(): void;
  resume(): void;
  /** Has it evaluate an expression of Erlang; resolves with what that wrote and came to, rejects when it fails. */
  evaluate(erlang: string): Promise<string>;
}

/** Undefined where RabbitMQ (Debian: `rabbitmq-server`) is not installed. Default: any free port. */
export async function startRabbitMq(atPort?: number): Promise<RabbitMq | undefined> {
  if (!existsSync(SERVER)) return undefined;
  const port = atPort ?? await freePort();
  const folder = mkdtempSync(join(tmpdir(), "rabbitmq-"));
  const env = await environmentFor(folder, port);
  let run = await startIn(env, port);
  const end = async (signal: "SIGTERM" | "SIGKILL"): Promise<void> => {
    run.send("SIGCONT");
    run.send(signal);
    const late = systemClock.timer(STOP_MS_MAX, () => run.send("SIGKILL"));
    await run.ended;
    late.cancel();
  };
  return {
    url: `amqp://127.0.0.1:${port}`,
    async restart() {
      await end("SIGKILL");
      run = await startIn(env, port);
    },
    pause: () => run.send("SIGSTOP"),
    resume: () => run.send("SIGCONT"),
    evaluate: (erlang) => evaluate(erlang, env),
    async [Symbol.asyncDispose]() {
      await end("SIGTERM");
      // Erlang starts it by itself and leaves it behind.
      spawnSync("epmd", ["-port", env["ERL_EPMD_PORT"] ?? "", "-kill"], { env, stdio: "ignore" });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Not at once: whoever waits here stands still, and its cluster with it. */
function evaluate(erlang: string, env: Record<string, string>): Promise<string> {
  const words = ["-address", `localhost:${env["RABBITMQ_DIST_PORT"]}`, "-r", "-fetch_stdout", "-e"];
  return new Promise((resolve, reject) => {
    const call = execFile(CALL, words, { env }, (error, output, errors) => {
      // What fails is the result too, as `{error, ...}`.
      if (error === null && /\{ok, .*\}$/s.test(output.trim())) resolve(output);
      else reject(new Error(`${erlang} ${output}${errors}`));
    });
    call.stdin?.end(`${erlang}.\n`);
  });
}

/** For tests, before which `npm test` has installed what is missing. */
export async function demandRabbitMq(atPort?: number): Promise<RabbitMq> {
  const found = await startRabbitMq(atPort);
  if (found !== undefined) return found;
  throw new Error(
    "these tests need rabbitmq-server: npm test installs it; npm test -- --without-brokers skips them",
  );
}

/** The one that RABBITMQ_URL names (`amqp://` or `amqps://`), else one of one's own. */
export async function someRabbitMq(): Promise<SomeBroker> {
  return namedBroker("RABBITMQ_URL") ?? await demandRabbitMq();
}

/** Everything it would keep elsewhere, or listen to on other addresses, is told here. */
async function environmentFor(folder: string, port: number): Promise<Record<string, string>> {
  const [distribution, epmd] = [await freePort(), await freePort()];
  const config = join(folder, "rabbitmq.conf"), plugins = join(folder, "plugins");
  mkdirSync(join(folder, "data"));
  writeFileSync(config, "loopback_users = none\ndisk_free_limit.absolute = 1MB\n");
  writeFileSync(plugins, "[].");
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: folder,
    LANG: "C.UTF-8",
    RABBITMQ_NODENAME: `flotilla${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: `${port}`,
    RABBITMQ_DIST_PORT: `${distribution}`,
    RABBITMQ_MNESIA_BASE: join(folder, "data"),
    RABBITMQ_LOG_BASE: folder,
    RABBITMQ_LOGS: "-",
    RABBITMQ_PID_FILE: join(folder, "pid"),
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    RABBITMQ_CONFIG_FILE: config,
    RABBITMQ_CONF_ENV_FILE: "/dev/null",
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1} -noinput",
    // The script becomes Erlang's machine, so that signals reach it.
    RUNNING_UNDER_SYSTEMD: "1",
    ERL_EPMD_ADDRESS: "127.0.0.1",
    ERL_EPMD_PORT: `${epmd}`,
  };
}

interface Run {
  send(signal: "SIGCONT" | "SIGKILL" | "SIGSTOP" | "SIGTERM"): void;
  readonly ended: Promise<void>;
}

async function startIn(env: Record<string, string>, port: number): Promise<Run> {
  const child = spawn(SERVER, [], { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => output = (output + text).slice(-10_000));
  }
  let over = false;
  const send: Run["send"] = (signal) => {
    if (child.pid === undefined || over) return;
    try {
      process.kill(child.pid, signal);
    } catch {
      // It has ended already.
    }
  };
  // A test that ran out of time leaves none behind either.
  const kill = (): void => send("SIGKILL");
  process.on("exit", kill);
  const ended = new Promise<void>((resolve) =>
    child.on("exit", () => {
      over = true;
      process.off("exit", kill);
      resolve();
    })
  );
  for (const from = systemClock.now(); !output.includes("Server startup complete");) {
    if (over) throw new Error(`start RabbitMQ on port ${port}: it ended: ${output}`);
    if (systemClock.now() - from > START_MS_MAX) {
      kill();
      throw new Error(`start RabbitMQ on port ${port}: not ready in ${START_MS_MAX} ms: ${output}`);
    }
    await sleep(systemClock, 50);
  }
  return { send, ended };
}
