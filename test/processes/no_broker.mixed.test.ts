/** What a node does, as a process, whose broker is not there, or is something else. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startUpstashServer } from "../../examples/upstash_server.ts";
import type { Listener } from "../../mod.ts";
import { loadRedis } from "../../src/lib/redis.ts";
import { freePort } from "../support/free_port.ts";
import { demandRabbitMq, type RabbitMq } from "../support/rabbitmq.ts";
import { demandRedis, type Redis, withoutBrokers } from "../support/redis.ts";
import { type Runtime, RUNTIMES } from "../support/runtimes.ts";
import { type Relay, startRelay } from "../support/tcp_relay.ts";
import { until } from "../support/until.ts";
import { BrokerNode } from "./broker_nodes.ts";
import { type Answers, passesOn, StandIn, STRANGERS } from "./stand_in.ts";

const START_MS = 120_000;
const PATIENCE_MS = 90_000;
const COMPLAINT = "the broker is not reached";
const RELIEF = "the broker is reached again";
const PASSWORD = "hidden";

describe.skipIf(withoutBrokers)("a node without its broker", () => {
  let redis: Redis, rabbitMq: RabbitMq, relay: Relay, http: Listener;
  /** Nodes that were there before their brokers, by transport. */
  const early = new Map<string, BrokerNode[]>();
  const running = new AsyncDisposableStack();
  const held = new AsyncDisposableStack();
  beforeAll(async () => {
    const [redisPort, rabbitPort] = [await freePort(), await freePort()];
    const toRabbitMq = ["--rabbitmq", `amqp://127.0.0.1:${rabbitPort}`];
    const flags = {
      rabbitmq: toRabbitMq,
      hybrid: [...toRabbitMq, "--redis", `redis://127.0.0.1:${redisPort}`],
    };
    for (const [transport, more] of Object.entries(flags)) {
      const args = ["--transport", transport, "--cluster-name", transport, ...more];
      const start = async (runtime: Runtime): Promise<BrokerNode> =>
        running.use(await BrokerNode.start(runtime, args));
      early.set(transport, await Promise.all(RUNTIMES.map(start)));
    }
    rabbitMq = held.use(await demandRabbitMq(rabbitPort));
    redis = held.use(await demandRedis(redisPort));
    relay = held.use(await startRelay(rabbitMq.url));
    const { createClient } = await loadRedis();
    const client = await createClient({ url: redis.url }).connect();
    await client.sendCommand(["ACL", "SETUSER", "guest", "on", `>${PASSWORD}`, "allchannels", "allcommands"]);
    client.destroy();
    http = await startUpstashServer({ port: 0, redis: redis.url, token: PASSWORD });
    held.defer(() => http.close());
  }, START_MS);
  afterAll(async () => {
    await running.disposeAsync();
    await held.disposeAsync();
  }, START_MS);

  test("waits for brokers that are started later, and says so once for each", async () => {
    await using _ends = running.move();
    for (const [transport, brokers] of [["rabbitmq", 1], ["hybrid", 2]] as const) {
      const nodes = early.get(transport) ?? [];
      await until("all are up for all", async () => {
        const views = await Promise.all(nodes.map((node) => node.view()));
        return views.every(({ nodes: seen }) => seen.filter(({ status }) => status === "up").length === 3);
      }, 20_000);
      const said = (text: string): boolean => nodes.every((node) => node.times(text) === brokers);
      await until("all are relieved", () => said(RELIEF));
      expect(said(COMPLAINT)).toBe(true);
    }
  }, PATIENCE_MS);

  /** Who stands where a broker should, by turns. One who says nothing is given up after 10 s. */
  interface Place {
    readonly url: string;
    readonly strangers: Readonly<Record<string, () => Answers>>;
    readonly quiet?: () => Answers;
    readonly right: () => Answers;
  }
  const { closes, resets, isHttp, talksText, talksNonsense } = STRANGERS;
  const places: readonly Place[] = [
    {
      url: "amqp://guest:guest",
      strangers: {
        "who closes": () => closes,
        "who resets": () => resets,
        "who talks nonsense": () => talksNonsense,
        "an HTTP server": () => isHttp,
      },
      quiet: () => passesOn(redis.url),
      right: () => passesOn(rabbitMq.url),
    },
    {
      url: "ws://guest:guest",
      strangers: {
        "who resets": () => resets,
        "an HTTP server": () => isHttp,
        "a WebSocket that talks text": () => talksText,
        "a RabbitMQ": () => passesOn(rabbitMq.url),
      },
      right: () => passesOn(relay.url),
    },
    {
      url: `redis://guest:${PASSWORD}`,
      strangers: {
        "who closes": () => closes,
        "who talks nonsense": () => talksNonsense,
        "an HTTP server": () => isHttp,
        "a RabbitMQ": () => passesOn(rabbitMq.url),
      },
      right: () => passesOn(redis.url),
    },
    {
      url: `http://:${PASSWORD}`,
      strangers: {
        "who closes": () => closes,
        "who talks nonsense": () => talksNonsense,
        "an HTTP server": () => isHttp,
        "a Redis": () => passesOn(redis.url),
      },
      right: () => passesOn(http.url),
    },
  ];

  test.each(places.map((place) => [place.url.split(":")[0] ?? "", place] as const))(
    "goes on whoever else answers at its URL, says so once, and takes the broker when it is there: %s",
    async (scheme, { url, strangers, quiet, right }) => {
      const flag = scheme === "amqp" || scheme === "ws" ? "rabbitmq" : "redis";
      await Promise.all(RUNTIMES.map(async (runtime) => {
        await using standIn = await StandIn.start(closes);
        const args = ["--transport", flag, `--${flag}`, `${url}@127.0.0.1:${standIn.port}`];
        await using node = await BrokerNode.start(runtime, [...args, "--cluster-name", runtime]);
        const meets = async (who: string, stranger: () => Answers, times: number): Promise<void> => {
          standIn.become(stranger());
          await until(`${runtime} has tried ${who}`, () => standIn.attempts >= times, 20_000);
        };
        for (const [who, stranger] of Object.entries(strangers)) await meets(who, stranger, 2);
        if (quiet !== undefined) await meets("who says nothing", quiet, 2);
        expect((await node.view()).nodes.length).toBe(1);
        standIn.become(right());
        await until(`${runtime} is relieved`, () => node.times(RELIEF) > 0, 10_000);
        expect([runtime, node.times(COMPLAINT), node.times(RELIEF)]).toEqual([runtime, 1, 1]);
        expect(node.child.output).not.toContain(PASSWORD);
      }));
    },
    PATIENCE_MS,
  );
});
