//! Makes a failing session small: fewer acts first, then smaller numbers.

use super::{Act, Plan};

/// The smallest plan that was found for which `fails` still holds; `fails` is asked for several plans at a time.
///
/// What is asked for is bounded, so that a slow program does not hold up the hunt for ever.
pub(super) async fn shrink(plan: Plan, mut fails: impl AsyncFnMut(&[Plan]) -> Vec<bool>) -> Plan {
    let mut best = idle(plan);
    let mut rounds = if best.long { ROUNDS / 2 } else { ROUNDS };
    // A session is short: each act alone is tried at once.
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
        // What can go alone can mostly go together.
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
        best = idle(found.map_or(one, |(all, _)| all));
        chunk = chunk.min(best.acts.len().div_ceil(2).max(1));
        if best.acts.is_empty() {
            break;
        }
    }
    numbers(best, rounds, fails).await
}

/// How many times several plans are played at most.
const ROUNDS: usize = 24;

/// Smaller numbers, as long as that fails too.
async fn numbers(
    mut best: Plan,
    rounds: usize,
    mut fails: impl AsyncFnMut(&[Plan]) -> Vec<bool>,
) -> Plan {
    for _ in 0..rounds.min(3) {
        let now = best.modelled().text;
        let mut candidates: Vec<Plan> = Vec::new();
        // A shorter time makes all that follows shorter.
        let mut acts: Vec<(usize, &Act)> = best.acts.iter().enumerate().collect();
        acts.sort_by_key(|(_, act)| !act.kind.has_steps());
        for (at, act) in acts {
            for simpler in act.simpler() {
                let mut acts = best.acts.clone();
                acts[at] = simpler;
                let candidate = best.with(acts);
                let text = candidate.modelled().text;
                if text != now && text.len() <= now.len() && !candidates.contains(&candidate) {
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
        best = idle(smaller);
    }
    best
}

/// Without the acts that do nothing, which costs no run.
fn idle(plan: Plan) -> Plan {
    let mut best = plan;
    let mut at = 0;
    while at < best.acts.len() {
        let mut acts: Vec<Act> = best.acts.clone();
        acts.remove(at);
        let without = best.with(acts);
        if without.modelled().text == best.modelled().text {
            best = without;
        } else {
            at += 1;
        }
    }
    best
}
