/**
 * A property as an assertion: it held, in as many runs as were asked for. When it does not hold, fast-check's report has the
 * shortest counterexample.
 */
import fc from "fast-check";
import type { Test } from "tap";

export function holds<Values>(
  t: Test,
  property: fc.IProperty<Values>,
  plan: { readonly seed: number; readonly numRuns: number },
  name = "it holds",
): void {
  const details = fc.check(property, plan);
  t.equal(details.failed ? fc.defaultReportMessage(details) : "", "", name);
  t.equal(details.numRuns, plan.numRuns, `${name}, in ${plan.numRuns} runs`);
}
