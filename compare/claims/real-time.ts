/** Measurements on this machine's disk and clock. They are printed with their figures; only their direction is judged. */
import type { Config } from "../../common/config.ts";
import { RealDisk } from "../../common/disk/real-disk.ts";
import type { Engine } from "../../common/engine.ts";
import { type Host, RealHost } from "../../common/host.ts";
import { configFor } from "../engines.ts";
import { encodeCommand, InProcessTransport, serverOf } from "../in-process.ts";
import type { Policy } from "../policy.ts";
import { SeededRandom } from "../random.ts";
import { makeFolder, removeFolder } from "../server-process.ts";

const WARM_UP = 100;
const MEASURED_MS = 300;

/** A client in this process that sends the next command when it is answered. */
class LoopClient extends InProcessTransport {
  onReply: () => void = () => {};

  write(): void {
    this.onReply();
  }
}

/** SETs a second of one client that sends so many at once and waits for the replies, on a real disk. */
export async function setsPerSecond(
  policy: Policy,
  atOnce: number,
  create: (host: Host, config: Config) => Engine,
): Promise<number> {
  const folder = makeFolder();
  try {
    const host = new RealHost(new RealDisk(folder));
    const config = configFor(policy.engine, policy.directives);
    const engine = create(host, config);
    engine.recover();
    const rate = atOnce * (await turnsPerSecond(engine, host, config, atOnce));
    await engine.close();
    return rate;
  } finally {
    removeFolder(folder);
  }
}

function turnsPerSecond(engine: Engine, host: RealHost, config: Config, atOnce: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = serverOf(engine, host, config, reject);
    const client = new LoopClient();
    const connection = server.connect(client);
    const request = Buffer.from(encodeCommand(["SET", "k", "v".repeat(64)]).repeat(atOnce), "latin1");
    let count = 0;
    let startedAt = 0;
    client.onReply = () => {
      count++;
      const now = performance.now();
      if (count === WARM_UP) startedAt = now;
      if (count > WARM_UP && now - startedAt > MEASURED_MS) {
        server.stop();
        resolve(((count - WARM_UP) / (now - startedAt)) * 1000);
      } else setImmediate(() => connection?.receive(request));
    };
    connection?.receive(request);
  });
}

const SYNCED_WRITES = 60;
const LOG_BYTES = 1024;
const PAGE_BYTES = 16384;
const SPACE_PAGES = 2000;

/** How many times longer a synced write of a page somewhere takes than a synced append of redo. */
export function pageToLogRatio(): { ratio: number; figure: string } {
  const folder = makeFolder();
  try {
    const disk = new RealDisk(folder);
    const random = new SeededRandom(1);
    const space = disk.open("space", "create");
    space.write((SPACE_PAGES - 1) * PAGE_BYTES, Buffer.alloc(PAGE_BYTES));
    space.syncNow();
    const log = disk.open("log", "create");
    log.write(0, Buffer.alloc(SYNCED_WRITES * LOG_BYTES));
    log.syncNow();
    const logMs = msOf((turn) => {
      log.write(turn * LOG_BYTES, Buffer.alloc(LOG_BYTES, turn));
      log.syncNow();
    });
    const pageMs = msOf((turn) => {
      space.write(random.below(SPACE_PAGES) * PAGE_BYTES, Buffer.alloc(PAGE_BYTES, turn));
      space.syncNow();
    });
    space.close();
    log.close();
    const ratio = pageMs / logMs;
    const micros = (ms: number): string => `${(1000 * ms).toFixed(0)} µs`;
    return { ratio, figure: `${ratio.toFixed(1)} ×: ${micros(pageMs)} a page, ${micros(logMs)} a KiB of redo` };
  } finally {
    removeFolder(folder);
  }
}

/** Milliseconds that each of some runs takes. */
function msOf(run: (turn: number) => void): number {
  const startedAt = performance.now();
  for (let turn = 0; turn < SYNCED_WRITES; turn++) run(turn);
  return (performance.now() - startedAt) / SYNCED_WRITES;
}
