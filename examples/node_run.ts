/** What `examples/node.ts` and `examples/witness.ts` share: a process that is a node. */
import { hostname } from "node:os";
import process from "node:process";
import type { ClusterOptions, Listener, Logger } from "../mod.ts";
import { type NodeSettings, parseFlags } from "./node_flags.ts";

const PORT_DEFAULT = 8080;
const SECOND_SIGNAL_EXIT = 1;

const log: Logger = { debug() {}, info: say("info"), warn: say("warn"), error: say("error") };

const deno = (globalThis as { Deno?: typeof Deno }).Deno;

/** Reads the flags and runs; `fixed` goes before what they say. `file` is what was started, for messages. */
export async function runNode(file: string, fixed: Partial<ClusterOptions> = {}): Promise<void> {
  if (deno !== undefined) await askForNetwork(deno, file);
  const mayReadEnv = deno === undefined || deno.permissions.querySync({ name: "env" }).state === "granted";
  const parsed = parseFlags(
    deno?.args ?? process.argv.slice(2),
    (name) => mayReadEnv ? process.env[name] : undefined,
  );
  if (parsed.kind === "help") {
    console.log(parsed.text);
    process.exit(0);
  }
  if (parsed.kind === "wrong") fail(2, parsed.message);
  await run(parsed.settings, fixed);
}

async function run(settings: NodeSettings, fixed: Partial<ClusterOptions>): Promise<void> {
  // Not before the network is granted: loading the packages needs some permissions too.
  const { createCluster, FlotillaError, serve } = await import("../mod.ts");
  try {
    const { host = "127.0.0.1", port = PORT_DEFAULT, apiToken } = settings;
    const cluster = createCluster({ ...optionsOf(settings, host, port), ...fixed });
    cluster.on("fatal", ({ message }) => fail(1, message));
    cluster.on("drain", ({ left, moved, batch }) => log.info("clients move", { batch, moved, left }));
    let listener: Listener | undefined = undefined;
    let leaving = false;
    const leave = async ({ force }: { force: boolean }): Promise<void> => {
      leaving = true;
      const { moved, refused, timedOut, ms } = await cluster.shutdown({ force });
      await listener?.close();
      const others = [[refused, "had nowhere to go"], [timedOut, "were not seen again"]] as const;
      const rest = others.filter(([count]) => count > 0).map(([count, what]) => `, ${count} ${what}`).join(
        "",
      );
      console.log(`left after ${(ms / 1_000).toFixed(1)} s: ${moved} clients moved${rest}`);
      process.exit(0);
    };
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (leaving) process.exit(SECOND_SIGNAL_EXIT);
        leave({ force: false }).catch((thrown) => fail(1, String(thrown)));
      });
    }
    listener = await serve(cluster, {
      hostname: host,
      port,
      shutdown: leave,
      ...apiToken === undefined ? {} : { apiToken },
    });
    await cluster.start();
    console.log(`listening on ${listener.url} as ${cluster.nodeId}`);
  } catch (thrown) {
    if (!(thrown instanceof FlotillaError)) throw thrown;
    fail(thrown.code === "invalid-option" ? 2 : 1, thrown.message);
  }
}

/** Only what was said is passed on, so that the library's defaults stand. */
function optionsOf(settings: NodeSettings, host: string, port: number): ClusterOptions {
  return {
    transportType: settings.transport,
    redisConnectionString: settings.redis,
    rabbitMQConnectionString: settings.rabbitmq,
    nodeId: settings.id ?? `node-${crypto.randomUUID().slice(0, 8)}`,
    nodeAddress: addressOf(settings, host),
    nodePort: port,
    nodes: settings.nodes,
    channelName: settings.channel,
    clusterName: settings.clusterName,
    secret: settings.secret,
    publicUrl: settings.publicUrl,
    allowInsecure: settings.allowInsecure,
    dataDir: settings.dataDir,
    bootstrapExpect: settings.bootstrapExpect,
    witness: settings.witness,
    electionTimeoutMs: settings.electionTimeoutMs,
    heartbeatMs: settings.heartbeatMs,
    logger: log,
  };
}

/** Where other nodes reach this one: nobody can dial a wildcard address. */
function addressOf({ publicUrl }: NodeSettings, host: string): string {
  if (host !== "0.0.0.0" && host !== "::") return host.includes(":") ? `[${host}]` : host;
  const named = publicUrl === undefined ? undefined : URL.parse(publicUrl)?.hostname;
  if (named !== undefined) return named;
  if (
    deno !== undefined && deno.permissions.querySync({ name: "sys", kind: "hostname" }).state !== "granted"
  ) {
    fail(
      1,
      `--host ${host} needs --public-url, or --allow-sys=hostname to tell other nodes where this one is`,
    );
  }
  return hostname();
}

/** One line of JSON for each event, on standard error. */
function say(level: string): Logger["info"] {
  return (message, fields) =>
    console.error(JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }));
}

/**
 * On a terminal Deno asks, once; elsewhere nobody could answer. The environment is read only where it may be.
 */
async function askForNetwork({ permissions, stdin }: typeof Deno, file: string): Promise<void> {
  const network = { name: "net" } as const;
  const ask = stdin.isTerminal() ? permissions.request : permissions.query;
  if ((await ask.call(permissions, network)).state === "granted") return;
  fail(
    1,
    `a node needs the network: deno run -A ${file} (or, instead of -A: --allow-net --allow-env)`,
  );
}

function fail(code: number, message: string): never {
  console.error(message);
  process.exit(code);
}
