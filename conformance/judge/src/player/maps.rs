//! `< maps`: the client sends MAP for each of its mappings, and the suite answers each MAP at once.

use netroxy_specification::message::{self, FieldName, MAP, MRS};
use netroxy_specification::notation::ast::{Action, Expectation, Field, Message, Step, Template};
use netroxy_specification::notation::print_action;

use super::mismatch::Mismatch;
use super::pattern::fill;
use super::scene::Scene;
use super::state::Player;
use crate::transcript;

/// The lines of a MAP.
type Mapping = Vec<Vec<u8>>;

impl Player<'_> {
    /// Reads a MAP for each mapping, and answers each by MRS at once. So it does not matter whether a client sends all
    /// MAPs at once or waits for each answer. The ports in `refused` get `false`.
    pub(super) async fn maps(&mut self, name: &str, refused: &[Template]) -> Result<(), Mismatch> {
        let Scene::Client(scene) = &self.scene else {
            return Err("only a client asks for mappings".into());
        };
        let mapping = |(port, target, open): &(u16, _, bool)| -> Mapping {
            let target: &std::net::SocketAddr = target;
            MAP.lines(&[
                (FieldName::Port, port.to_string().as_bytes()),
                (FieldName::Target, target.to_string().as_bytes()),
                (FieldName::IsOpen, open.to_string().as_bytes()),
            ])
        };
        let mut missing: Vec<Mapping> = scene.mappings.iter().map(mapping).collect();
        let refused = refused.iter().map(|port| fill(port, &self.vars));
        let refused: Vec<Vec<u8>> = refused.collect::<Result<_, _>>()?;
        while !missing.is_empty() {
            let asked = self.next_map(name).await;
            let asked = asked.map_err(|got| unmapped(got, &missing))?;
            let port = message::value(&asked, FieldName::Port).unwrap_or_default();
            let no = refused.iter().any(|refused| refused == port);
            match missing.iter().position(|one| *one == asked) {
                Some(index) => drop(missing.remove(index)),
                // A client may send a refused MAP again.
                None if no => {}
                None => {
                    return Err(unmapped(told(&asked).into(), &missing));
                }
            }
            let answer: &[u8] = if no { b"false" } else { b"true" };
            let lines = MRS.lines(&[(FieldName::Port, port), (FieldName::IsOk, answer)]);
            self.send_message(name, &lines, None).await?;
        }
        Ok(())
    }

    /// Waits for the next MAP. It may take as long as any message, counted from the answer to the MAP before.
    async fn next_map(&mut self, name: &str) -> Result<Mapping, Mismatch> {
        let fields = MAP
            .fields
            .iter()
            .map(|(name, _)| Field::Bind(variable(*name)));
        let map = Expectation::Message(Message {
            word: MAP.word.to_owned(),
            fields: fields.collect(),
        });
        let step = Step {
            actor: name.to_owned(),
            action: Action::Expect(map.clone()),
            within: None,
            marks: Vec::new(),
            comment: None,
        };
        self.clock = self.clock_of(&step);
        self.expect(&step, &[map]).await?;
        let mut lines = vec![MAP.word.as_bytes().to_vec()];
        let fields = MAP.fields.iter();
        lines
            .extend(fields.map(|(name, _)| self.vars.remove(&variable(*name)).unwrap_or_default()));
        Ok(lines)
    }
}

/// The variable that a field of the next MAP is bound to. No variable of a case has such a name.
fn variable(name: FieldName) -> String {
    format!("{name:?} of MAP")
}

/// A MAP in the notation.
fn told(mapping: &[Vec<u8>]) -> String {
    let map = Expectation::Message(transcript::message(mapping));
    print_action(&Action::Expect(map))
}

fn unmapped(got: Mismatch, missing: &[Mapping]) -> Mismatch {
    Mismatch::Unmapped {
        got: Box::new(got),
        missing: named(missing),
    }
}

fn named(mappings: &[Mapping]) -> String {
    let shown: Vec<String> = mappings.iter().take(SHOWN).map(|map| told(map)).collect();
    let more = mappings.len() - shown.len();
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// How many missing mappings an error names.
const SHOWN: usize = 3;
