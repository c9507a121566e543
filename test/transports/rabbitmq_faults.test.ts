/** Clusters over RabbitMQ while it is harmed, in real time. */
import { afterAll, beforeAll, describe } from "bun:test";
import { sleep, systemClock } from "../../src/lib/clock.ts";
import { type Fault, survivesElections, survivesFaults } from "../support/broker_faults.ts";
import { demandRabbitMq, type RabbitMq } from "../support/rabbitmq.ts";
import { withoutBrokers } from "../support/redis.ts";

const START_MS = 120_000;

describe.skipIf(withoutBrokers)("RabbitMQ", () => {
  let rabbitMq: RabbitMq;
  beforeAll(async () => {
    rabbitMq = await demandRabbitMq();
  }, START_MS);
  afterAll(async () => {
    await rabbitMq?.[Symbol.asyncDispose]();
  }, START_MS);

  const overTcp = () => ({ transportType: "rabbitmq", rabbitMQConnectionString: rabbitMq.url }) as const;

  const evaluate = (erlang: string) => async () => void await rabbitMq.evaluate(erlang);
  const killed: Fault = { what: "is killed and started again", harm: () => rabbitMq.restart() };
  survivesFaults("rabbitmq", overTcp, [
    killed,
    {
      what: "stands still for five seconds",
      async harm() {
        rabbitMq.pause();
        await sleep(systemClock, 5_000);
        rabbitMq.resume();
      },
    },
    {
      what: "closes every connection",
      harm: evaluate('rabbit_networking:close_connections(rabbit_networking:connections(), "a test")'),
    },
    {
      what: "loses its exchange, and closes every channel that publishes",
      harm: evaluate(
        'rabbit_exchange:delete(rabbit_misc:r(<<"/">>, exchange, <<"flotilla">>), false, <<"a test">>)',
      ),
    },
    {
      what: "loses every queue",
      harm: evaluate(
        '[rabbit_amqqueue:delete(Q, false, false, <<"a test">>) || Q <- rabbit_amqqueue:list()]',
      ),
    },
    {
      what: "runs out of memory for five seconds, and blocks who publishes",
      async harm() {
        await rabbitMq.evaluate('vm_memory_monitor:set_vm_memory_high_watermark({absolute, "1MB"})');
        await sleep(systemClock, 5_000);
        await rabbitMq.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.6)");
      },
    },
  ]);
  survivesElections("rabbitmq", overTcp, killed);
});
