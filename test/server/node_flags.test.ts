import { describe, expect, test } from "bun:test";
import { type NodeSettings, parseFlags } from "../../examples/node_flags.ts";

function settings(args: readonly string[], env: Record<string, string> = {}): NodeSettings {
  const parsed = parseFlags(args, (name) => env[name]);
  if (parsed.kind !== "run") throw new Error(`parsed as ${parsed.kind}: ${JSON.stringify(parsed)}`);
  return parsed.settings;
}

function complaint(args: readonly string[], env: Record<string, string> = {}): string {
  const parsed = parseFlags(args, (name) => env[name]);
  if (parsed.kind !== "wrong") throw new Error(`parsed as ${parsed.kind}`);
  return parsed.message;
}

describe("the flags of a node", () => {
  test("say nothing where nothing is said", () => {
    expect(settings([])).toEqual({});
  });

  test("take their value after a space or an equals sign", () => {
    const args = [
      "--id",
      "a",
      "--port=0",
      "--nodes",
      "ws://h:1, b@h:2,",
      "--cluster-name=x=y",
      "--transport",
      "redis",
    ];
    expect(settings(args)).toEqual({
      id: "a",
      port: 0,
      nodes: ["ws://h:1", "b@h:2"],
      clusterName: "x=y",
      transport: "redis",
    });
  });

  test("that are switches need no value", () => {
    expect(settings(["--allow-insecure", "--id", "a"])).toEqual({ allowInsecure: true, id: "a" });
    expect(settings(["--allow-insecure=false"])).toEqual({ allowInsecure: false });
  });

  test("each have a variable, which they override", () => {
    const env = {
      FLOTILLA_DATA_DIR: "/data",
      FLOTILLA_BOOTSTRAP_EXPECT: "3",
      FLOTILLA_ID: "env",
      FLOTILLA_SECRET: "",
    };
    expect(settings(["--id", "flag"], env)).toEqual({ dataDir: "/data", bootstrapExpect: 3, id: "flag" });
  });

  test("read the port from PORT too, after FLOTILLA_PORT", () => {
    expect(settings([], { PORT: "1" })).toEqual({ port: 1 });
    expect(settings([], { PORT: "1", FLOTILLA_PORT: "2" })).toEqual({ port: 2 });
  });

  test.each([
    ["an unknown flag", ["--porte", "1"], 'there is no flag "--porte" (see --help)'],
    ["a word that is no flag", ["start"], 'there is no flag "start" (see --help)'],
    ["a missing value", ["--port"], "--port needs a value: a port from 0 to 65535"],
    ["a flag for a value", ["--id", "--port"], "--id needs a value: text that is not empty"],
    ["a port out of range", ["--port", "65536"], '--port must be a port from 0 to 65535, not "65536"'],
    ["a port that is no number", ["--port=8o"], '--port must be a port from 0 to 65535, not "8o"'],
    ["an empty text", ["--id="], '--id must be text that is not empty, not ""'],
    [
      "an unknown transport",
      ["--transport", "x"],
      '--transport must be ws, redis, rabbitmq or hybrid, not "x"',
    ],
    ["a switch with nonsense", ["--allow-insecure=yes"], '--allow-insecure must be true or false, not "yes"'],
  ])("name %s", (_what, args, message) => {
    expect(complaint(args)).toBe(message);
  });

  test("name a variable with a bad value", () => {
    expect(complaint([], { PORT: "x" })).toBe('PORT must be a port from 0 to 65535, not "x"');
  });

  test("show themselves with --help, each with its variable", () => {
    const parsed = parseFlags(["--port", "1", "--help"], () => undefined);
    const help = parsed.kind === "help" ? parsed.text : "";
    const flags =
      "id host port nodes transport channel cluster-name secret redis rabbitmq data-dir public-url " +
      "api-token bootstrap-expect witness allow-insecure";
    for (const flag of flags.split(" ")) {
      expect(help).toContain(`--${flag}`);
      expect(help).toContain(`[FLOTILLA_${flag.toUpperCase().replaceAll("-", "_")}`);
    }
    expect(Math.max(...help.split("\n").map((line) => line.length))).toBeLessThan(125);
  });
});
