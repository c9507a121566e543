/** What `examples/node.ts --transport ...` says when its broker is not named as it must be. */
import { describe, expect, test } from "bun:test";
import { runChild } from "../support/child.ts";
import { commandFor, ROOT } from "../support/runtimes.ts";

const PATIENCE_MS = 90_000;
const PASSWORD = "hidden";

describe("a node", () => {
  const REDIS = ["--redis", `redis://:${PASSWORD}@127.0.0.1:1`];
  const RABBITMQ = ["--rabbitmq", `amqp://user:${PASSWORD}@127.0.0.1:1`];
  const SECRET = ["--secret", "s"];
  const cases: [transport: string, args: string[], named: string][] = [
    ["redis", REDIS, "secret"],
    ["redis", SECRET, "redisConnectionString must be given"],
    ["redis", [...SECRET, "--redis", `http://:${PASSWORD}@example.com`], "https://"],
    ["redis", [...SECRET, ...REDIS, "--nodes", "ws://127.0.0.1:1"], "ws://127.0.0.1:1"],
    ["rabbitmq", RABBITMQ, "secret"],
    ["rabbitmq", [...SECRET, ...REDIS], "rabbitMQConnectionString must be given"],
    ["rabbitmq", [...SECRET, "--rabbitmq", `redis://:${PASSWORD}@127.0.0.1:1`], "amqp://"],
    ["rabbitmq", [...SECRET, "--rabbitmq", `amqp://user:${PASSWORD}%zz@127.0.0.1:1`], "%"],
    ["rabbitmq", [...SECRET, "--rabbitmq", `user:${PASSWORD}@127.0.0.1`], "amqp://"],
    ["rabbitmq", [...SECRET, ...RABBITMQ, "--nodes", "ws://127.0.0.1:1"], "ws://127.0.0.1:1"],
    ["hybrid", [...REDIS, ...RABBITMQ], "secret"],
    ["hybrid", [...SECRET, ...REDIS], "rabbitMQConnectionString must be given"],
    ["hybrid", [...SECRET, ...RABBITMQ], "redisConnectionString must be given"],
    [
      "hybrid",
      [...SECRET, "--redis", `amqp://user:${PASSWORD}@127.0.0.1:1`, ...RABBITMQ],
      "redisConnectionString must be redis://",
    ],
  ];

  test.each([...new Set(cases.map(([transport]) => transport))])(
    "refuses to start without a secret, or without brokers to go to: %s",
    async (transport) => {
      for (const [of, more, named] of cases) {
        if (of !== transport) continue;
        const args = ["--port", "0", "--transport", transport, ...more];
        const ran = await runChild(...commandFor("node", "examples/node.ts", args), { cwd: ROOT });
        expect([more, ran.code, ran.output.trim().split("\n").length]).toEqual([more, 2, 1]);
        expect(ran.output).toContain(named);
        expect(ran.output).not.toContain(PASSWORD);
      }
    },
    PATIENCE_MS,
  );
});
