/** Holds the layers: who may import whom, no circles, and a core that touches nothing of one runtime. */
import { describe, expect, test } from "bun:test";
import { exists, filesUnder, type Import, importsOf, mask, resolved, textOf } from "../support/source.ts";

interface Room {
  readonly room: string;
  /** Rooms whose modules it may load. */
  readonly may: readonly string[];
  /** Rooms it may name in `import type` besides. */
  readonly types?: readonly string[];
  readonly because: string;
}

const BELOW_CLUSTER = [
  "lib",
  "transport",
  "link",
  "directory",
  "connection",
  "router",
  "client_protocol",
  "stream",
  "raft",
];

const ROOMS: readonly Room[] = [
  { room: "lib", may: [], because: "tools that know nothing of clusters" },
  { room: "transport", may: ["lib"], because: "the contract between links and pipes" },
  { room: "client_protocol", may: ["lib"], because: "the contract between nodes and SDK clients" },
  { room: "transports", may: ["lib", "transport"], because: "dumb pipes; every guarantee is made above" },
  { room: "link", may: ["lib", "transport"], because: "knows nodes and frames, nothing of connections" },
  { room: "connection", may: ["lib"], because: "this node's own sockets, cluster or not" },
  {
    room: "directory",
    may: ["lib", "link"],
    types: ["connection"],
    because: "who owns which connection, told over links",
  },
  {
    room: "router",
    may: ["lib", "link", "directory", "connection"],
    because: "the data plane: it never waits for Raft",
  },
  {
    room: "stream",
    may: ["lib", "link", "directory", "connection", "router", "client_protocol"],
    because: "the data plane: it never waits for Raft",
  },
  { room: "raft core", may: ["lib"], because: "decides without clock, chance, I/O or waiting" },
  {
    room: "raft state",
    may: ["lib"],
    types: ["raft core"],
    because: "the same on every node: decides without clock, chance, I/O or waiting",
  },
  {
    room: "raft",
    may: ["lib", "link", "raft core", "raft state"],
    because: "the control plane: it never asks the data plane",
  },
  {
    room: "cluster contract",
    may: [],
    types: BELOW_CLUSTER,
    because: "types alone, so anyone above may name it",
  },
  {
    room: "cluster",
    may: BELOW_CLUSTER,
    types: ["cluster contract"],
    because: "puts the parts together, whatever carries packets",
  },
  {
    room: "server",
    may: ["lib", "connection", "cluster", "link", "transport", "client_protocol"],
    types: ["cluster contract", "router", "stream", "raft", "transports"],
    because: "serves a cluster; sees it through its contract",
  },
  { room: "client", may: ["lib", "client_protocol"], because: "runs in browsers, without the rest" },
  {
    room: "create",
    may: [...BELOW_CLUSTER, "cluster", "server", "transports"],
    types: ["cluster contract"],
    because: "the composition root",
  },
  {
    room: "mod",
    may: [...BELOW_CLUSTER, "cluster", "server", "client", "create", "transports"],
    types: ["cluster contract"],
    because: "the front door",
  },
];

/** Files that are about one runtime. They are loaded by `import()` only. */
const ADAPTERS: readonly { readonly files: RegExp; readonly because: string }[] = [
  { files: /^src\/server\/sockets\/(deno|bun|node)\.ts$/, because: "one raw server for each runtime" },
  { files: /^src\/raft\/sqlite(_\w+)?\.ts$/, because: "storage in node:sqlite" },
  { files: /^transports\/\w+_(tcp|tls)\.ts$/, because: "TCP clients of brokers" },
];

/** Files that may load a package: each tries the bare specifier and falls back to `npm:`. */
const DOORS: readonly { readonly file: string; readonly packages: readonly string[] }[] = [
  { file: "src/lib/amqp.ts", packages: ["@cloudamqp/amqp-client"] },
  { file: "src/lib/cbor.ts", packages: ["cbor-x"] },
  { file: "src/lib/hono.ts", packages: ["hono"] },
  { file: "src/lib/client_websocket.ts", packages: ["ws"] },
  { file: "src/lib/redis.ts", packages: ["redis"] },
  { file: "src/lib/upstash.ts", packages: ["@upstash/redis"] },
  { file: "src/lib/xxhash.ts", packages: ["xxhash-wasm"] },
];

/** Files that may ask the surroundings for time, chance or a console: everyone else is given them. */
const SURROUNDINGS: readonly { readonly file: string; readonly because: string }[] = [
  { file: "src/lib/clock.ts", because: "the system clock" },
  { file: "src/lib/random.ts", because: "the system's randomness" },
];

const CORE = filesUnder(["mod.ts", "src", "transports"], [".ts"]);
const ALL = filesUnder(["mod.ts", "src", "transports", "test", "examples", "bench"], [".ts", ".mjs"]);
const importsByFile = new Map<string, Import[]>(ALL.map((file) => [file, importsOf(textOf(file))]));

const isAdapter = (file: string): boolean => ADAPTERS.some(({ files }) => files.test(file));
const importsIn = (file: string): Import[] => importsByFile.get(file) ?? [];

function roomOf(file: string): string {
  if (file === "mod.ts") return "mod";
  if (file === "src/cluster/contract.ts") return "cluster contract";
  if (file.startsWith("transports/")) return "transports";
  if (file.startsWith("src/raft/core/")) return "raft core";
  if (file.startsWith("src/raft/state/")) return "raft state";
  const [, first = "", second] = file.split("/");
  return second === undefined ? first.replace(/\.ts$/, "") : first;
}

/** The modules that loading `file` loads, by relative imports. */
function loads(file: string, kinds: readonly Import["kind"][]): string[] {
  return importsIn(file).filter(({ kind }) => kinds.includes(kind))
    .map(({ specifier }) => resolved(file, specifier)).filter((target) => target !== undefined);
}

describe("rooms", () => {
  test("every module of the library stands in a known room", () => {
    const known = ROOMS.map(({ room }) => room);
    expect(CORE.filter((file) => !known.includes(roomOf(file)))).toEqual([]);
  });

  test.each(ROOMS.map((row) => [row.room, row] as const))("%s imports only what is below it", (room, row) => {
    const wrong: string[] = [];
    for (const file of CORE.filter((each) => roomOf(each) === room)) {
      for (const { specifier, kind } of importsIn(file)) {
        const target = resolved(file, specifier);
        if (target === undefined) continue;
        const other = roomOf(target);
        const allowed = other === room || row.may.includes(other) ||
          (kind === "type" && row.types?.includes(other) === true);
        if (!allowed) wrong.push(`${file} imports ${kind} ${target}, but ${room} is: ${row.because}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("every relative import names a file that exists, with its extension", () => {
    const wrong = ALL.flatMap((file) =>
      loads(file, ["static", "type", "dynamic"]).filter((target) =>
        !exists(target) || !/\.(ts|mjs)$/.test(target)
      )
        .map((target) => `${file} imports ${target}`)
    );
    expect(wrong).toEqual([]);
  });
});

test("there is no circle of imports", () => {
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) circles.push([...path.slice(start), file].join(" -> "));
    if (start >= 0 || done.has(file)) return;
    for (const target of loads(file, ["static", "type"])) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of ALL) visit(file, []);
  expect(circles).toEqual([]);
});

describe("the core", () => {
  const core = CORE.filter((file) => !isAdapter(file));

  const found = (files: readonly string[], pattern: RegExp): string[] =>
    files.flatMap((file) =>
      mask(textOf(file)).code.split("\n").flatMap((line, index) =>
        pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : []
      )
    );

  test("names nothing of one runtime outside the adapters", () => {
    const imported = core.flatMap((file) =>
      importsIn(file).filter(({ specifier, kind }) =>
        kind !== "type" && /^(node|bun|deno|jsr):|^bun$/.test(specifier)
      )
        .map(({ specifier }) => `${file} imports ${specifier}`)
    );
    expect(imported).toEqual([]);
    expect(found(core, /(?<![.\w$])((Bun|Deno|process)\.|Buffer\b)/)).toEqual([]);
  });

  test("loads adapters by import() only", () => {
    const wrong = CORE.filter((file) => !isAdapter(file)).flatMap((file) =>
      loads(file, ["static"]).filter(isAdapter).map((target) => `${file} imports ${target}`)
    );
    expect(wrong).toEqual([]);
  });

  test("loads packages through their doors only", () => {
    const wrong: string[] = [];
    for (const file of core) {
      const door = DOORS.find((each) => each.file === file)?.packages ?? [];
      for (const { specifier, kind } of importsIn(file)) {
        if (kind === "type" || specifier.startsWith(".")) continue;
        const name = specifier.replace(/^npm:/, "").split("/").slice(0, specifier.includes("@") ? 2 : 1).join(
          "/",
        );
        if (!door.includes(name)) wrong.push(`${file} imports ${specifier}`);
        else if (kind === "static") {
          wrong.push(`${file} imports ${specifier} statically, so npm: cannot stand in`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  test("is given time, chance and a log, and takes none", () => {
    const strangers = CORE.filter((file) => !SURROUNDINGS.some((each) => each.file === file));
    const pattern =
      /(?<![.\w$])(console\b|Date\.now|new Date\(\)|Math\.random|setTimeout|setInterval|performance\.now)/;
    expect(found(strangers, pattern)).toEqual([]);
  });

  test.each(["raft core", "raft state"])(
    "waits for nothing inside the %s, and is handed no clock and no randomness there",
    (room) => {
      const raft = CORE.filter((file) => roomOf(file) === room);
      expect(raft.length).toBeGreaterThan(0);
      expect(found(raft, /\b(await|async|Promise|Clock|Random|Logger)\b/)).toEqual([]);
    },
  );

  test("every declared door and surrounding exists", () => {
    expect([...DOORS, ...SURROUNDINGS].map(({ file }) => file).filter((file) => !exists(file))).toEqual([]);
  });
});
