/** Messages and the end of a client, over sockets in memory. */
import { describe, expect, test } from "bun:test";
import {
  encodeAbort,
  encodeData,
  encodeEnd,
  encodeFinished,
  encodeHello,
  encodeMessage,
  encodeOpen,
} from "../../src/client_protocol.ts";
import { type Bytes, concatBytes, utf8 } from "../../src/lib/bytes.ts";
import { type Logger, silentLogger } from "../../src/lib/logger.ts";
import { randomBelow, seededRandom } from "../../src/lib/random.ts";
import { firstSeed } from "../support/measure.ts";
import { mutated } from "../support/mutated.ts";
import { until } from "../support/until.ts";
import { connected, FakeNode, HEAD, pattern, welcome } from "./fake_node.ts";

describe("messages", () => {
  test("text and bytes go out as the application's own", async () => {
    const { client, socket } = await connected();
    expect(client.send("grüße")).toBe(true);
    expect(client.send("")).toBe(true);
    const sent = new Uint8Array([3, 0, 255]);
    expect(client.send(sent)).toBe(true);
    sent.fill(9);
    client.send(new Uint8Array(0));
    expect(socket.texts).toEqual(["grüße", ""]);
    expect(socket.frames).toEqual([
      { kind: "message", payload: new Uint8Array([3, 0, 255]) },
      { kind: "message", payload: new Uint8Array(0) },
    ]);
    client.close();
  });

  test("text and bytes arrive as they were sent, to every listener", async () => {
    const { client, socket, messages } = await connected();
    const second: unknown[] = [];
    const stop = client.on("message", (data) => void second.push(data));
    socket.say("grüße");
    socket.say(encodeMessage(new Uint8Array([1, 2])));
    stop();
    socket.say("");
    expect(messages).toEqual(["grüße", new Uint8Array([1, 2]), ""]);
    expect(second).toEqual(["grüße", new Uint8Array([1, 2])]);
    client.close();
  });

  test("a listener that throws or rejects is logged and harms nothing", async () => {
    const logged: string[] = [];
    const logger: Logger = {
      ...silentLogger,
      error: (_, fields) => void logged.push(String(fields?.["reason"])),
    };
    const { client, socket, messages } = await connected({ logger });
    client.on("message", () => {
      throw new Error("thrown on purpose");
    });
    client.on("message", async () => await Promise.reject(new Error("rejected on purpose")));
    const last: unknown[] = [];
    client.on("message", (data) => void last.push(data));
    socket.say("one");
    socket.say("two");
    expect(messages).toEqual(["one", "two"]);
    expect(last).toEqual(["one", "two"]);
    await until("all are logged", () => logged.length === 4);
    expect(logged.sort()).toEqual([
      "rejected on purpose",
      "rejected on purpose",
      "thrown on purpose",
      "thrown on purpose",
    ]);
    expect(client.send("still here")).toBe(true);
    client.close();
  });
});

describe("the end", () => {
  test("the node's code and reason are told once, and nothing is sent any more", async () => {
    const { client, socket } = await connected();
    const closes: unknown[] = [];
    client.on("close", (close) => void closes.push(close));
    socket.lose(4409, "replaced");
    socket.lose(1000);
    expect(await client.closed).toEqual({ code: 4409, reason: "replaced" });
    expect(closes).toEqual([{ code: 4409, reason: "replaced" }]);
    expect(client.send("too late")).toBe(false);
    expect(socket.texts).toEqual([]);
  });

  test("a socket that breaks off has code 1006, on every runtime", async () => {
    const { client, socket } = await connected();
    socket.lose(0);
    expect(await client.closed).toEqual({ code: 1006, reason: "" });
  });

  test("the application's code and reason go to the node", async () => {
    const { client, socket } = await connected();
    client.close(3001, "done here");
    client.close(3002, "again");
    expect(socket.closedWith).toEqual({ code: 3001, reason: "done here" });
    expect(client.send("too late")).toBe(false);
    expect(await client.closed).toEqual({ code: 3001, reason: "done here" });
  });

  test("leaving the scope that holds the client closes it with 1000", async () => {
    const made = await connected();
    {
      await using client = made.client;
      client.send("hello");
    }
    expect(made.socket.closedWith).toEqual({ code: 1000, reason: "" });
    expect(made.socket.readyState).toBe(3);
  });

  test("closing before anything was heard drops what came behind the hello", async () => {
    const node = new FakeNode((socket) => {
      welcome(socket);
      socket.say("too late");
      socket.begin(1);
    });
    const client = await node.connect();
    const heard: unknown[] = [];
    client.on("message", (data) => void heard.push(data));
    client.on("stream", (stream) => void heard.push(stream));
    client.close();
    await client.closed;
    expect(heard).toEqual([]);
  });
});

const cutOff = (frame: Bytes): Bytes => frame.slice(0, -1);

describe("a node that breaks the protocol is left with 1002, and open streams are malformed, for", () => {
  test.each<[string, Bytes]>([
    ["an empty frame", new Uint8Array(0)],
    ["a kind that does not exist", new Uint8Array([77, 0, 0, 0, 1])],
    ["what only clients say", encodeFinished(1)],
    ["a second hello", encodeHello("alice", "n1")],
    ["a stream that is open already", encodeOpen(1, HEAD)],
    ["an open that is cut off", cutOff(encodeOpen(2, HEAD))],
    ["an open that is not UTF-8", concatBytes(encodeOpen(2, HEAD), new Uint8Array([0xff]))],
    ["data without a stream", encodeData(1, new Uint8Array(0)).slice(0, 4)],
    ["an end that is cut off", cutOff(encodeEnd(1, 0, 0n))],
    ["an abort that is cut off", cutOff(encodeAbort(1, "timeout", "m"))],
    ["an abort without a message", concatBytes(encodeAbort(1, "", "").slice(0, 5), utf8("{}"))],
  ])("%s", async (_, frame) => {
    const { client, socket, streams, messages } = await connected();
    socket.begin(1);
    socket.data(1, pattern(10));
    const read = streams[0]?.bytes().catch((error) => error);
    socket.say(frame);
    // Whatever follows is not looked at.
    socket.say("more");
    socket.end(1, pattern(10));
    expect(await read).toMatchObject({ code: "malformed" });
    const close = await client.closed;
    expect(close.code).toBe(1002);
    expect(close.reason).toContain("read a binary message");
    // A client may not send 1002.
    expect(socket.closedWith?.code).toBe(4000);
    expect(messages).toEqual([]);
    expect(client.openStreams).toBe(0);
  });
});

test("random changes of what a node says never throw, hang no reader and leave nothing behind", async () => {
  const random = seededRandom(firstSeed(7));
  const whole = [
    encodeMessage(utf8("hi")),
    encodeOpen(1, { text: true, totalBytes: 20, metadata: { a: 1 } }),
    encodeData(1, pattern(10)),
    encodeOpen(2, HEAD),
    encodeData(2, pattern(40, 2)),
    encodeData(1, pattern(10)),
    encodeEnd(1, 20, 5n),
    encodeAbort(2, "timeout", "too slow"),
  ];
  let refused = 0;
  for (let round = 0; round < 150; round++) {
    const { client, socket, streams } = await connected();
    const reads: Promise<unknown>[] = [];
    client.on("stream", (stream) => {
      reads.push(stream.bytes().catch((error) => expect(error).toMatchObject({ name: "FlotillaError" })));
    });
    for (const frame of whole) {
      const changed = randomBelow(random, 3) === 0;
      socket.say(changed ? mutated(frame, [1 + randomBelow(random, 60_000)]) : frame);
      if (randomBelow(random, 4) === 0) socket.say(whole[randomBelow(random, whole.length)] as Bytes);
    }
    socket.lose(1006);
    if ((await client.closed).code === 1002) refused++;
    await Promise.all(reads);
    expect(reads.length).toBe(streams.length);
    expect(client.openStreams).toBe(0);
  }
  expect(refused).toBeGreaterThan(30);
});
