/**
 * A wrong order of kv-aof: the request goes into the log, and to the operating system, before memory is changed. What the
 * log then holds is what somebody asked for, not what happened: a command that fails when it is applied, or that means
 * something else an hour later (EX 60), is replayed all the same (I2 broken, pitfalls 46 and 51).
 *
 * The parts are the engine's own; only `execute` puts them together the other way round. EXEC stays as it is: its queue
 * belongs to the client, and the log cannot know before it runs what it will do.
 */
import { type Call, Effects } from "../../common/command/call.ts";
import { WRITE } from "../../common/command/flags.ts";
import type { Config } from "../../common/config.ts";
import type { Host } from "../../common/host.ts";
import { AofEngine } from "../../kv-aof/engine.ts";

class AofBeforeMemory extends AofEngine {
  readonly #request = new Effects();

  override execute(call: Call): boolean {
    if ((call.command.flags & WRITE) === 0) {
      return super.execute(call);
    }
    this.#request.push(call.db.index, call.args);
    this.log.append(this.#request, 0);
    this.#request.clear();
    const failure = this.log.write();
    if (failure !== undefined) throw failure;
    this.apply(call);
    call.effects.clear();
    return true;
  }
}

export function createAofBeforeMemory(host: Host, config: Config): AofEngine {
  return new AofBeforeMemory(host, config);
}
