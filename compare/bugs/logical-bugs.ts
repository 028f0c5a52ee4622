/** Seeded bugs of the logical log and of clocks: pitfalls 45, 48, 51, 57, 58. */
import { type Call, Effects } from "../../common/command/call.ts";
import type { DiskFile } from "../../common/disk/disk.ts";
import type { Host } from "../../common/host.ts";
import { AofEngine, createAofEngine } from "../../kv-aof/engine.ts";
import { ALL, ALWAYS, type Bug, EVERYSEC, isIncrement, KILL, POWER, recoveringOn, running } from "./bug.ts";
import type { Hunt } from "./hunt.ts";

/** kv-aof whose effects are changed before they are logged. */
class OtherEffects extends AofEngine {
  readonly #change: (effects: Effects, append: (effects: Effects) => void) => void;

  constructor(
    host: Host,
    config: ConstructorParameters<typeof AofEngine>[1],
    change: (effects: Effects, append: (effects: Effects) => void) => void,
  ) {
    super(host, config);
    this.#change = change;
  }

  override execute(call: Call): boolean {
    this.apply(call);
    this.#change(call.effects, (effects) => {
      if (effects.count > 0) this.log.append(effects, 0);
    });
    call.effects.clear();
    return true;
  }
}

function others(effects: Effects, keep: (args: readonly string[]) => boolean): Effects {
  const kept = new Effects();
  for (const [index, args] of effects.args.entries()) if (keep(args)) kept.push(effects.db[index] ?? 0, args);
  return kept;
}

/** Each effect by itself, without MULTI and EXEC around them. */
function oneByOne(effects: Effects, append: (effects: Effects) => void): void {
  for (const one of effects.args) append(others(effects, (args) => args === one));
}

/** kv-aof that forgets to log DEL. */
export function createWithoutDel(host: Host, config: ConstructorParameters<typeof AofEngine>[1]): AofEngine {
  const change = (effects: Effects, append: (effects: Effects) => void): void =>
    append(others(effects, ([name]) => name !== "DEL"));
  return new OtherEffects(host, config, change);
}

/** The file comes twice: what is in it happens again on top of itself. */
function twice(file: DiskFile, at: number, into: Uint8Array): number {
  if (!isIncrement(file.path)) return file.read(at, into);
  const size = file.size();
  const first = at < size ? file.read(at, into) : 0;
  const rest = into.subarray(first);
  return first + (rest.length > 0 ? file.read(at + first - size, rest) : 0);
}

/** A host whose clock jumps: `monotonic` is taken from the wall clock, which somebody sets back. */
function withClock(host: Host, monotonic: () => number): Host {
  const { clock } = host;
  return {
    disk: host.disk,
    random: host.random,
    clock: {
      now: () => clock.now(),
      monotonic,
      after: (delayMs, run) => clock.after(delayMs, run),
      sleep: (delayMs) => clock.sleep(delayMs),
    },
    afterTick: (run) => host.afterTick(run),
    tracing: host.tracing,
    trace: (step, detail) => host.trace(step, detail),
  };
}

/** Several seconds of virtual time, in which the second's fsync must come. */
const SECONDS: Partial<Hunt> = { clients: 3, operations: 40, batch: 1, thinkMs: [0, 400], partlyOneIn: 1000 };
const HOUR_MS = 3_600_000;

function aof(pitfall: number, what: string, hunt: Bug["hunt"]): Bug {
  return { pitfall, what, engine: "aof", hunt };
}

export const LOGICAL_BUGS: readonly Bug[] = [
  aof(
    45,
    "the log is replayed on top of what it has built",
    recoveringOn(
      ALWAYS,
      () => ({ read: twice, size: (file) => (isIncrement(file.path) ? 2 * file.size() : file.size()) }),
      KILL,
    ),
  ),
  aof(
    48,
    "a transaction is logged without MULTI and EXEC",
    running(ALWAYS, (host, config) => new OtherEffects(host, config, oneByOne), ALL, { partlyOneIn: 1 }),
  ),
  aof(51, "the effect of DEL is not logged", running(ALWAYS, createWithoutDel, KILL)),
  aof(
    51,
    "only the first effect of a transaction is logged",
    running(
      ALWAYS,
      (host, config) =>
        new OtherEffects(host, config, (effects, append) =>
          append(others(effects, (args) => args === effects.args[0])),
        ),
      KILL,
    ),
  ),
  aof(
    57,
    "'every second' is counted in turns, and turns may be long",
    running(
      EVERYSEC,
      (host, config) => {
        let turns = 0;
        return createAofEngine(
          withClock(host, () => turns++),
          config,
        );
      },
      POWER,
      SECONDS,
    ),
  ),
  aof(
    58,
    "the wall clock is set back an hour, and 'every second' waits for it",
    running(
      EVERYSEC,
      (host, config) => {
        const { clock } = host;
        const start = clock.monotonic();
        const isBack = (): boolean => clock.monotonic() - start > 1500;
        return createAofEngine(
          withClock(host, () => clock.monotonic() - (isBack() ? HOUR_MS : 0)),
          config,
        );
      },
      POWER,
      SECONDS,
    ),
  ),
];
