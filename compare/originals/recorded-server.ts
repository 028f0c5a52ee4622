/** A server under strace with a client: what recordings (recorded-run.ts) and power cuts (power-cuts.ts) begin with. */
import { type Recorder, startRecording } from "../crash-program/strace.ts";
import { type CrashedServer, type Session, whenReady } from "./server.ts";

/** A system call: its name, and the how manieth of one thread. */
export interface CallNumber {
  readonly call: string;
  readonly nth: number;
}

export interface RecordedServer {
  readonly recorder: Recorder;
  /** Undefined: the server ended before it served anybody. */
  readonly session: Session | undefined;
}

/** What is done to a recorded server from the outside. */
export interface Interference {
  /** It is killed as it enters that call. */
  readonly killAt?: CallNumber;
  /** Every sync takes so much longer. */
  readonly slowSyncMs?: number;
}

/** Starts a server on a folder, recorded, and connects to it. */
export async function startRecorded(
  server: CrashedServer,
  folder: string,
  { killAt, slowSyncMs }: Interference = {},
): Promise<RecordedServer> {
  let said = "";
  const recorder = startRecording({
    ...server.commandFor(folder),
    folder,
    cwd: folder,
    ignore: server.ignore,
    acknowledgedBy: "replies",
    keepInput: true,
    ...(killAt === undefined ? {} : { inject: `${killAt.call}:signal=KILL:when=${killAt.nth}` }),
    ...(slowSyncMs === undefined ? {} : { inject: `fdatasync,fsync:delay_enter=${1000 * slowSyncMs}` }),
    onOutput: (text) => {
      said += text;
    },
  });
  return { recorder, session: await whenReady(recorder.done, () => server.connect(folder, said)) };
}

/** Kills the server, if it has not ended by itself, and waits for the record. */
export function killRecorded(recorder: Recorder): Recorder["done"] {
  const pid = recorder.pid();
  if (pid !== undefined) process.kill(pid, "SIGKILL");
  return recorder.done;
}
