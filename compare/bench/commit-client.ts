/**
 * The client side of the commit benchmark, a process of its own: `writers` connections with `inFlight` loops each, of which
 * every one upserts a random key, waits until that is durable, and goes on. Prints one line of JSON. Its own processor time
 * is reported, so that everybody sees whether it was the client that could not go faster.
 */
import { type EmbeddedName, embedded, openMariadb, openRedis, type Upserts } from "./upserts.ts";

export interface ClientPlan {
  readonly target: "redis" | "mariadb" | EmbeddedName;
  /** Of a server. */
  readonly port: number;
  /** Of an embedded store. */
  readonly folder: string;
  /** `fill`: write every key once, as fast as it goes. */
  readonly mode: "fill" | "measure";
  readonly writers: number;
  readonly inFlight: number;
  readonly seconds: number;
  readonly keys: number;
  readonly valueBytes: number;
}

export interface ClientResult {
  readonly commitsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time of this process per second: 1 means that one processor was busy with it. */
  readonly cpuShare: number;
}

const FILL_AT_ONCE = 1000;

function keyOf(number: number): string {
  return `key:${String(number).padStart(12, "0")}`;
}

async function open(plan: ClientPlan): Promise<Upserts> {
  if (plan.target === "redis") return openRedis(plan.port);
  if (plan.target === "mariadb") return openMariadb(plan.port);
  return embedded(plan.target, plan.folder);
}

async function fill(plan: ClientPlan): Promise<void> {
  const upserts = await open(plan);
  for (let first = 0; first < plan.keys; first += FILL_AT_ONCE) {
    const count = Math.min(FILL_AT_ONCE, plan.keys - first);
    const keys = Array.from({ length: count }, (_, i) => keyOf(first + i));
    await upserts.fill(keys, "y".repeat(plan.valueBytes));
  }
  await upserts.close();
}

async function measure(plan: ClientPlan): Promise<ClientResult> {
  const all = await Promise.all(Array.from({ length: plan.writers }, () => open(plan)));
  const value = "x".repeat(plan.valueBytes);
  const latenciesMs: number[] = [];
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  const end = started + plan.seconds * 1000;
  const write = async (upserts: Upserts): Promise<void> => {
    for (let at = performance.now(); at < end; ) {
      await upserts.upsert(keyOf(Math.floor(Math.random() * plan.keys)), value);
      const now = performance.now();
      latenciesMs.push(now - at);
      at = now;
    }
  };
  await Promise.all(all.flatMap((upserts) => Array.from({ length: plan.inFlight }, () => write(upserts))));
  const seconds = (performance.now() - started) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  await Promise.all(all.map((upserts) => upserts.close()));
  latenciesMs.sort((a, b) => a - b);
  const quantile = (q: number) => latenciesMs[Math.floor((latenciesMs.length - 1) * q)] ?? 0;
  return {
    commitsPerSecond: latenciesMs.length / seconds,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    cpuShare: (cpu.user + cpu.system) / 1e6 / seconds,
  };
}

const plan = JSON.parse(process.argv[2] ?? "{}") as ClientPlan;
if (plan.mode === "fill") await fill(plan);
else process.stdout.write(`${JSON.stringify(await measure(plan))}\n`);
