import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ServerResponse } from "node:http";
import { freePort } from "../../support/free_port.ts";
import { FakeStateApi } from "./fake_state_api.ts";
import { fateOfRequest, HttpKeyValue } from "./http_client.ts";

const TIMEOUT_MS = 10_000;

let api: FakeStateApi;
let store: HttpKeyValue;
beforeEach(async () => {
  api = await FakeStateApi.start();
  store = new HttpKeyValue(api.url, TIMEOUT_MS);
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

/** What a set that is answered by `instead` comes to. */
async function fateAfter(instead: (response: ServerResponse) => void): Promise<string> {
  api.instead = instead;
  return await store.set("k", "v").then(
    (revision) => `done at ${revision}`,
    (thrown) => fateOfRequest(thrown) ?? `unexpected: ${thrown.message}`,
  );
}

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
(
  response: ServerResponse,
): void => void response.writeHead(status, headers).end(JSON.stringify(body));

describe("the map over HTTP", () => {
  test("gets, sets, deletes and compares with revisions", async () => {
    expect(await store.get("k")).toBeUndefined();
    expect(await store.delete("k")).toBeUndefined();
    expect(await store.compareAndSet("k", 7, "a")).toEqual({ done: false, revision: 0 });
    expect(await store.compareAndSet("k", 0, "a")).toEqual({ done: true, revision: 1 });
    expect(await store.compareAndSet("k", 0, "b")).toEqual({ done: false, revision: 1 });
    expect(await store.compareAndSet("k", 1, "c")).toEqual({ done: true, revision: 2 });
    expect(await store.get("k")).toEqual({ value: "c", revision: 2 });
    expect(await store.set("k", "d")).toBe(3);
    expect(await store.delete("k")).toBe(4);
    expect(await store.get("k")).toBeUndefined();
  });

  test("takes keys and values of any characters", async () => {
    await store.set("a/b c?d=é", "zwölf %2F\n");
    expect(await store.get("a/b c?d=é")).toEqual({ value: "zwölf %2F\n", revision: 1 });
    expect(api.requests[0]).toBe("PUT /api/state/a%2Fb%20c%3Fd%3D%C3%A9");
  });
});

describe("a write over HTTP is refused", () => {
  test.each([429, 503])("when the node says %i", async (status) => {
    const error = { code: "no-leader", message: "nobody leads" };
    expect(await fateAfter(answer(status, { error }))).toBe("refused");
  });

  test("when nobody listens", async () => {
    const nobody = new HttpKeyValue(`http://127.0.0.1:${await freePort()}`, TIMEOUT_MS);
    const fate = await nobody.set("k", "v").catch(fateOfRequest);
    expect(fate).toBe("refused");
  });
});

describe("a write over HTTP is unknown", () => {
  test("when the node says 504", async () => {
    const error = { code: "timeout", message: "too late" };
    expect(await fateAfter(answer(504, { error }))).toBe("unknown");
  });

  test.each(["timeout", "node-lost", "aborted"])("when a 503 is about %s", async (code) => {
    expect(await fateAfter(answer(503, { error: { code, message: "who knows" } }))).toBe("unknown");
  });

  test("when the connection breaks, and is not sent again", async () => {
    expect(await fateAfter((response) => void response.destroy())).toBe("unknown");
    expect(await store.set("k", "a")).toBe(1);
    expect(await fateAfter((response) => void response.destroy())).toBe("unknown");
    expect(await store.get("k")).toEqual({ value: "a", revision: 1 });
    expect(api.requests.filter((each) => each.startsWith("PUT"))).toHaveLength(3);
  });

  test("when the connection breaks within the answer", async () => {
    const fate = await fateAfter((response) => {
      response.writeHead(200, { "content-length": "100" }).write('{"revision":', () => response.destroy());
    });
    expect(fate).toBe("unknown");
  });

  test("when no answer comes in time", async () => {
    const hasty = new HttpKeyValue(api.url, 50);
    api.instead = () => {};
    const fate = await hasty.set("k", "v").catch(fateOfRequest);
    expect(fate).toBe("unknown");
  });
});

describe("an answer against the contract is an error of its own:", () => {
  test.each(
    [
      ["a status that is not in it", answer(500, { error: { code: "bug", message: "oops" } })],
      ["a write that was done at no revision", answer(200, {})],
      ["a write that was done at revision 0", answer(200, { revision: 0 })],
      ["a conflict with nothing to compare", answer(412, {}, { etag: '"1"' })],
    ] as const,
  )("%s", async (_, instead) => {
    expect(await fateAfter(instead)).toMatch(/^unexpected: PUT k of /);
  });

  test.each([{}, { etag: "7" }, { etag: 'W/"7"' }, { etag: '"0"' }])(
    "a value whose ETag is no revision (%#)",
    async (headers) => {
      api.instead = answer(200, "v", headers as Record<string, string>);
      await expect(store.get("k")).rejects.toThrow("GET k of ");
    },
  );
});
