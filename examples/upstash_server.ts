/**
 * Redis over HTTP, as Upstash speaks it, in front of a Redis of your own: to develop against `https://:TOKEN@host`
 * without an account. Single commands, pipelines, transactions and subscriptions; for this machine only.
 *
 *     node examples/upstash_server.ts --port 8079 --redis redis://127.0.0.1:6379 --token T
 *     node examples/node.ts --transport redis --redis http://:T@127.0.0.1:8079 --secret s --id a
 *
 * Likewise with `bun run` and `deno run -A`.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Context, Hono } from "hono";
import { createClient, RESP_TYPES } from "redis";
import { listen, type Listener } from "../mod.ts";

const COMMENT_MS = 15_000;
/** Milliseconds of the first pause before Redis is tried again, by which the next ones grow, and of the longest. */
const RECONNECT_STEP_MS = 50;
const RECONNECT_MS_MAX = 2_000;

export interface UpstashServerOptions {
  readonly port: number;
  /** `redis://host:port` */
  readonly redis: string;
  readonly token: string;
}

type Reply = { readonly result: unknown } | { readonly error: string };

/** Rejects when Redis is not there. */
export async function startUpstashServer(options: UpstashServerOptions): Promise<Listener> {
  let wasThere = false;
  const reconnectStrategy = (retries: number, cause: Error): number | Error =>
    wasThere ? Math.min(retries * RECONNECT_STEP_MS, RECONNECT_MS_MAX) : cause;
  const client = createClient({
    url: options.redis,
    RESP: 2,
    disableOfflineQueue: true,
    socket: { reconnectStrategy },
  });
  client.on("error", () => {});
  await client.connect();
  wasThere = true;
  const raw = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  /** Streams that are open, by what ends them. */
  const streams = new Set<() => void>();
  const app = new Hono();

  app.use(async (context, next) => {
    if (context.req.header("authorization") === `Bearer ${options.token}`) return await next();
    return context.json({ error: "Unauthorized" }, 401);
  });

  const run = async (command: unknown, context: Context): Promise<Reply> => {
    if (!isCommand(command)) return { error: "ERR a command is an array of strings and numbers" };
    try {
      const answer: unknown = await raw.sendCommand(command.map(String));
      return {
        result: context.req.header("upstash-encoding") === "base64" ? encoded(answer) : decoded(answer),
      };
    } catch (thrown) {
      return { error: thrown instanceof Error ? thrown.message : String(thrown) };
    }
  };

  app.post("/", async (context) => {
    const reply = await run(await jsonOf(context), context);
    return context.json(reply, "error" in reply ? 400 : 200);
  });

  app.post("/pipeline", async (context) => {
    const commands = await jsonOf(context);
    if (!Array.isArray(commands)) {
      return context.json({ error: "ERR a pipeline is an array of commands" }, 400);
    }
    return context.json(await Promise.all(commands.map((command) => run(command, context))));
  });

  app.post("/multi-exec", async (context) => {
    const commands = await jsonOf(context);
    if (!Array.isArray(commands)) {
      return context.json({ error: "ERR a transaction is an array of commands" }, 400);
    }
    // Sent in one turn, so nothing of another request comes between.
    const replies = await Promise.all([["MULTI"], ...commands, ["EXEC"]].map((each) => run(each, context)));
    const last = replies.at(-1);
    if (last === undefined || "error" in last) return context.json(last ?? { error: "ERR no answer" }, 400);
    return context.json(Array.isArray(last.result) ? last.result.map((result) => ({ result })) : last);
  });

  for (
    const [path, kind] of [["/subscribe/:channel{.+}", "subscribe"], [
      "/psubscribe/:channel{.+}",
      "psubscribe",
    ]] as const
  ) {
    app.on(["GET", "POST"], path, async (context) => {
      const channel = context.req.param("channel");
      const subscriber = createClient({ url: options.redis, RESP: 2, socket: { reconnectStrategy: false } });
      const { readable, push, end } = eventStream(() => {
        streams.delete(end);
        if (subscriber.isOpen) subscriber.destroy();
      });
      streams.add(end);
      subscriber.on("error", end);
      subscriber.on("end", end);
      try {
        await subscriber.connect();
        if (kind === "subscribe") {
          await subscriber.subscribe(channel, (message) => push(`message,${channel},${message}`));
        } else {await subscriber.pSubscribe(channel, (message, from) =>
            push(`pmessage,${channel},${from},${message}`));}
      } catch (thrown) {
        end();
        return context.json({ error: thrown instanceof Error ? thrown.message : String(thrown) }, 500);
      }
      push(`${kind},${channel},1`);
      return new Response(readable, {
        headers: { "content-type": "text/event-stream", "cache-control": "no-cache" },
      });
    });
  }

  app.notFound((context) => context.json({ error: "ERR there is nothing here" }, 404));
  const listener = await listen({ hostname: "127.0.0.1", port: options.port, fetch: app.fetch });
  return {
    ...listener,
    async close() {
      for (const end of [...streams]) end();
      await listener.close();
      if (client.isOpen) client.destroy();
    },
  };
}

/** Events as a body; `ended` is called once, whoever ends it. */
function eventStream(ended: () => void) {
  const encoder = new TextEncoder();
  let over = false;
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const finish = (): boolean => {
    if (over) return false;
    over = true;
    clearInterval(comments);
    ended();
    return true;
  };
  const readable = new ReadableStream<Uint8Array>({
    start: (given) => void (controller = given),
    cancel: () => void finish(),
  });
  const write = (text: string): void => {
    if (!over) controller?.enqueue(encoder.encode(text));
  };
  const comments = setInterval(() => write(":\n\n"), COMMENT_MS);
  return {
    readable,
    push: (data: string) => write(`data: ${data}\n\n`),
    end: () => {
      if (finish()) controller?.close();
    },
  };
}

function isCommand(value: unknown): value is (string | number)[] {
  return Array.isArray(value) && value.length > 0 &&
    value.every((part) => typeof part === "string" || typeof part === "number");
}

async function jsonOf(context: Context): Promise<unknown> {
  return await context.req.json<unknown>().catch(() => undefined);
}

/** Strings in base64, but for OK: as Upstash does it when it is asked to. */
function encoded(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(encoded);
  if (answer === "OK") return answer;
  if (typeof answer === "string") return Buffer.from(answer).toString("base64");
  return answer instanceof Buffer ? answer.toString("base64") : answer;
}

function decoded(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(decoded);
  return answer instanceof Buffer ? answer.toString() : answer;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "8079" },
      redis: { type: "string", default: "redis://127.0.0.1:6379" },
      token: { type: "string", default: "T" },
    },
  });
  const { url } = await startUpstashServer({ ...values, port: Number(values.port) });
  console.log(`listening on ${url} for Bearer ${values.token}`);
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(0));
}
