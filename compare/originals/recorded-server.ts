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

/** Starts a server on a folder, recorded, and connects to it; `killAt`: it is killed as it enters that call. */
export async function startRecorded(
  server: CrashedServer,
  folder: string,
  killAt?: CallNumber,
): Promise<RecordedServer> {
  let said = "";
  const recorder = startRecording({
    ...server.commandFor(folder),
    folder,
    cwd: folder,
    ignore: server.ignore,
    acknowledgedBy: "replies",
    keepInput: true,
    ...(killAt === undefined ? {} : { killAt }),
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
