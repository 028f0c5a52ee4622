/** One crash of a run, recovered and judged again: when a finding is made small, and when it is replayed from a file. */
import type { Verdict, Violation } from "../oracle.ts";
import { SeededRandom } from "../random.ts";
import type { SimulatedRun } from "../simulated-run.ts";
import type { Crash } from "./crashes.ts";
import { type Finding, modelOfRecovery } from "./hunt.ts";
import { type Oracle, verdictOf, withStopped, withUnstable } from "./judge.ts";
import { convergence } from "./recover-again.ts";
import type { Subject } from "./subject.ts";

/** Crashes of its recovery, where the finding was one of them. */
const LIMITS = { exhaustive: 64, sampled: 48 };
const DEEPER_ONE_IN = 16;

/** The finding, when the crash breaks a promise in that way. */
export function findingOf(
  run: SimulatedRun,
  crash: Crash,
  kind: Violation["kind"],
  subject: Subject,
  oracle?: Oracle,
): Finding | undefined {
  const outcome = subject.outcomeOf(crash.image);
  let verdict = verdictOf(run, crash.knownAt, crash.model.crash, outcome, oracle);
  if (kind === "stopped" && run.failure !== undefined) verdict = withStopped(verdict, run);
  if (kind === "unstable recovery") verdict = crashedAgain(run, crash, subject, verdict);
  const violation = verdict.violations.find((each) => each.kind === kind);
  return violation && { run, crash, outcome, verdict, violation };
}

function crashedAgain(run: SimulatedRun, crash: Crash, subject: Subject, verdict: Verdict): Verdict {
  const { problem } = convergence(subject, crash.image, {
    model: modelOfRecovery(crash.model, run.plan.policy.engine),
    limits: LIMITS,
    random: new SeededRandom(0),
    deeperOneIn: DEEPER_ONE_IN,
  });
  return problem === undefined ? verdict : withUnstable(verdict, run, problem);
}
