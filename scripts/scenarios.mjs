/**
 * What `npm run verify -- NAME` runs at full counts: a list of test files for each claim. The figures come from
 * `report()` in test/support/measure.ts.
 */
export const scenarios = {
  house: {
    claim: "Layers, imports and the ways to get the library hold.",
    files: ["test/house/imports.test.ts", "test/house/source.test.ts", "test/house/getting.mixed.test.ts"],
  },
  links: {
    claim: "Sessions deliver exactly once and in order whatever the network does; control waits for nothing.",
    files: [
      "test/link/session.test.ts",
      "test/link/handshake.test.ts",
      "test/link/crossing.test.ts",
      "test/link/recovery.test.ts",
    ],
  },
  quality: {
    claim: "Quality ranks near, far, jittery and flapping links, ten points apart, and recovers.",
    files: ["test/link/liveness.test.ts"],
  },
  "exactly-once": {
    claim:
      "100,000 messages each way between three nodes, through loss, repeats, reordering and 20 cuts: once, in order.",
    files: ["test/cluster/exactly_once.test.ts"],
  },
  claims: {
    claim:
      "Of 1,000 connections claimed twice at one moment, also across a partition, each has one owner everywhere.",
    files: ["test/cluster/double_claim.test.ts", "test/directory/races.test.ts"],
  },
  size: {
    claim: "Fifty nodes in one process are one cluster.",
    files: ["test/cluster/size.test.ts"],
  },
  adversity: {
    claim:
      "An hour of faults, floods, forgeries and random schedules finds nothing; without a guard a test fails.",
    files: [
      "test/link/model.test.ts",
      "test/link/wire_fuzz.test.ts",
      "test/link/mutated_packets.test.ts",
      "test/link/handshake.test.ts",
      "test/link/crossing.test.ts",
      "test/link/paths.test.ts",
      "test/link/outsider.test.ts",
      "test/cluster/registering.test.ts",
      "test/router/model.test.ts",
      "test/router/frames.test.ts",
      "test/server/adapter_ends.test.ts",
      "test/server/flooding.test.ts",
      "test/transports/ws.test.ts",
      "test/house/guards.mixed.test.ts",
      "test/processes/bad_input.mixed.test.ts",
      "test/processes/odd_names.mixed.test.ts",
      "test/processes/vanishing.mixed.test.ts",
      "test/processes/adversity.mixed.test.ts",
    ],
  },
  raft: {
    claim: "The replicated state is linearizable whatever befalls nodes and ways, in simulation.",
    files: [
      "test/raft/node/forming.test.ts",
      "test/raft/node/reforming.test.ts",
      "test/raft/node/members.test.ts",
      "test/raft/node/linearizable.test.ts",
    ],
  },
  "raft-processes": {
    claim:
      "Real nodes lose no acknowledged write, whoever is killed, wiped or restarted; lists that differ form nothing.",
    files: [
      "test/raft/processes/leader_kills.mixed.test.ts",
      "test/raft/processes/losses.mixed.test.ts",
      "test/raft/processes/lists.mixed.test.ts",
    ],
  },
  streams: {
    claim:
      "1 GiB arrives whole between every two runtimes, in every delivery, through cuts, at the client's pace.",
    files: [
      "test/stream/processes/across.mixed.test.ts",
      "test/stream/processes/cuts.mixed.test.ts",
      "test/stream/processes/upload.mixed.test.ts",
      "test/client/stream_page.mixed.test.ts",
    ],
  },
  brokers: {
    claim:
      "Whatever befalls Redis or RabbitMQ, ten times in a row, the cluster is whole by itself and says only what is true.",
    files: [
      "test/transports/redis_faults.test.ts",
      "test/transports/redis_http_faults.test.ts",
      "test/transports/rabbitmq_faults.test.ts",
      "test/transports/hybrid_faults.test.ts",
    ],
  },
  leaving: {
    claim: "Nodes leave, alone, together and one after another, and no client or message is lost with them.",
    files: [
      "test/cluster/drain.test.ts",
      "test/client/moving.test.ts",
      "test/client/moving_page.mixed.test.ts",
      "test/processes/leaving/rolling.mixed.test.ts",
      "test/processes/leaving/at_once.mixed.test.ts",
      "test/processes/leaving/killed.mixed.test.ts",
    ],
  },
  processes: {
    claim:
      "A killed or paused node of any runtime is cleared in time and returns; no message is falsely delivered.",
    files: [
      "test/processes/faults.mixed.test.ts",
      "test/processes/start.mixed.test.ts",
      "test/processes/ends_by_itself.mixed.test.ts",
    ],
  },
};
