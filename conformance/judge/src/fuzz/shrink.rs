//! Shrinks a failing session: first it removes acts, then it makes numbers smaller.

use netroxy_specification::notation::ast::Case;
use netroxy_specification::notation::print;

use super::act::Act;
use super::model::model;
use super::plan::Plan;

/// The smallest plan found for which `fails` still returns true. `fails` plays several plans at a time.
///
/// The number of calls of `fails` is bounded, because a session with a slow program takes long.
pub(super) async fn shrink(plan: Plan, mut fails: impl AsyncFnMut(&[Plan]) -> Vec<bool>) -> Plan {
    let mut best = without_empty_acts(plan);
    let mut rounds = if best.long { ROUNDS / 2 } else { ROUNDS };
    // How many acts are removed together: one, if the session has at most 16.
    let mut chunk = best.acts.len().div_ceil(16);
    while chunk > 0 && rounds > 0 {
        let spans: Vec<usize> = (0..best.acts.len()).step_by(chunk).collect();
        let without = |spans: &[usize]| {
            let kept = best.acts.iter().enumerate();
            let kept =
                kept.filter(|(at, _)| !spans.iter().any(|span| (*span..span + chunk).contains(at)));
            best.with(kept.map(|(_, act)| *act).collect())
        };
        let candidates: Vec<Plan> = spans.iter().map(|span| without(&[*span])).collect();
        let failing = fails(&candidates).await;
        rounds -= 1;
        let good: Vec<usize> = spans
            .into_iter()
            .zip(failing)
            .filter_map(|(span, fails)| fails.then_some(span))
            .collect();
        let Some(first) = good.first() else {
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
            continue;
        };
        // Chunks that can be removed alone can mostly be removed together.
        let together = [
            without(&good),
            without(&good[..good.len().div_ceil(2)]),
            without(&good[good.len() / 2..]),
        ];
        let one = without(&[*first]);
        let failing = match good.len() {
            1 => Vec::new(),
            _ => fails(&together).await,
        };
        let found = together.into_iter().zip(failing).find(|(_, fails)| *fails);
        best = without_empty_acts(found.map_or(one, |(all, _)| all));
        chunk = chunk.min(best.acts.len().div_ceil(2).max(1));
        if best.acts.is_empty() {
            break;
        }
    }
    numbers(best, rounds, fails).await
}

/// How many rounds remove acts at most; a long session has half of them. A round calls `fails` once or twice.
const ROUNDS: usize = 24;

/// Makes numbers smaller, as long as the session still fails.
async fn numbers(
    mut best: Plan,
    rounds: usize,
    mut fails: impl AsyncFnMut(&[Plan]) -> Vec<bool>,
) -> Plan {
    for _ in 0..rounds.min(3) {
        let now = model(&best).case;
        let mut candidates: Vec<Plan> = Vec::new();
        // Shorter times come first: they make all further plays faster.
        let mut acts: Vec<(usize, &Act)> = best.acts.iter().enumerate().collect();
        acts.sort_by_key(|(_, act)| !act.kind.has_four_sizes());
        for (at, act) in acts {
            for simpler in act.simpler() {
                let mut acts = best.acts.clone();
                acts[at] = simpler;
                let candidate = best.with(acts);
                let case = model(&candidate).case;
                if case != now && length(&case) <= length(&now) && !candidates.contains(&candidate)
                {
                    candidates.push(candidate);
                }
            }
        }
        candidates.truncate(32);
        if candidates.is_empty() {
            break;
        }
        let failing = fails(&candidates).await;
        let found = candidates
            .into_iter()
            .zip(failing)
            .find(|(_, fails)| *fails);
        let Some((smaller, _)) = found else { break };
        best = without_empty_acts(smaller);
    }
    best
}

/// The length of a case as text, in bytes, without the blanks between words.
pub(super) fn length(case: &Case) -> usize {
    let text = print(case);
    text.split_ascii_whitespace().map(str::len).sum()
}

/// The plan without the acts that add no steps. No session is played for this.
fn without_empty_acts(plan: Plan) -> Plan {
    let mut best = plan;
    let mut at = 0;
    while at < best.acts.len() {
        let mut acts: Vec<Act> = best.acts.clone();
        acts.remove(at);
        let without = best.with(acts);
        if model(&without).case == model(&best).case {
            best = without;
        } else {
            at += 1;
        }
    }
    best
}
