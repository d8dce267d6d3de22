//! One question to a codec, and what its answer is worth.

use std::time::Duration;

use super::codec::{Codec, Trouble};
use super::contract::answer;
use super::judge::{Question, Worth, shortened};
use super::outcome::Grade;

/// The value and the text of one answer, or the grade and the reason if there is none.
pub(super) async fn ask_one(
    codec: &mut Codec,
    id: u32,
    question: &Question,
    deadline: Duration,
) -> Result<(Worth, String), (Grade, String)> {
    let line = codec.ask(&question.line, deadline).await;
    let line = line.map_err(|trouble| {
        let grade = match &trouble {
            Trouble::Ended(_) => Grade::Crash,
            Trouble::Silent(_) | Trouble::Unflushed(_) => Grade::Hang,
            Trouble::Flood => Grade::Flood,
            Trouble::Unasked => Grade::Rubbish,
        };
        (grade, trouble.to_string())
    })?;
    let shown = shortened(&String::from_utf8_lossy(&line));
    let answer = answer(id, &line).map_err(|why| {
        let cause = match line.first() {
            Some(b'{') => "",
            _ => "; if a wrapper or a log says this, it has to go to standard error",
        };
        (Grade::Rubbish, format!("{shown}: {why}{cause}"))
    })?;
    Ok((question.worth(&answer), answer.shown()))
}
