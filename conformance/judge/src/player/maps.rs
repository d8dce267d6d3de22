//! `< maps`: the client asks for all its mappings, and each is answered as soon as it has been asked for.

use netroxy_specification::notation::ast::{Action, Expectation, Field, Message, Step, Template};
use netroxy_specification::notation::print_action;

use super::mismatch::Mismatch;
use super::pattern::fill;
use super::{Player, Scene};
use crate::transcript;

/// Port, target and isOpen, as they stand in a MAP.
type Mapping = [Vec<u8>; 3];

impl Player<'_> {
    /// Some clients ask for everything at once, others wait for each answer: both are answered in time by this.
    pub(super) async fn maps(&mut self, name: &str, refused: &[Template]) -> Result<(), Mismatch> {
        let Scene::Client(scene) = &self.scene else {
            return Err("only a client asks for mappings".into());
        };
        let mapping = |(port, target, open): &(u16, _, bool)| -> Mapping {
            let target: &std::net::SocketAddr = target;
            [port.to_string(), target.to_string(), open.to_string()].map(String::into_bytes)
        };
        let mut missing: Vec<Mapping> = scene.mappings.iter().map(mapping).collect();
        let refused = refused.iter().map(|port| fill(port, &self.vars));
        let refused: Vec<Vec<u8>> = refused.collect::<Result<_, _>>()?;
        while !missing.is_empty() {
            let asked = self.next_map(name).await;
            let asked = asked.map_err(|got| unmapped(got, &missing))?;
            let no = refused.contains(&asked[0]);
            match missing.iter().position(|one| *one == asked) {
                Some(index) => drop(missing.remove(index)),
                // It may ask again for what it did not get.
                None if no => {}
                None => {
                    return Err(unmapped(told(&asked).into(), &missing));
                }
            }
            let [port, ..] = asked;
            let answer: &[u8] = if no { b"false" } else { b"true" };
            let lines = [b"MRS".to_vec(), port, answer.to_vec()];
            self.send_message(name, &lines, None).await?;
        }
        Ok(())
    }

    /// Has as much time as any message, counted from the answer to the one before.
    async fn next_map(&mut self, name: &str) -> Result<Mapping, Mismatch> {
        let fields = FIELDS.map(|field| Field::Bind(field.to_owned())).to_vec();
        let word = "MAP".to_owned();
        let map = Expectation::Message(Message { word, fields });
        let step = Step {
            actor: name.to_owned(),
            action: Action::Expect(map.clone()),
            within: None,
            marks: Vec::new(),
            comment: None,
        };
        self.clock = self.clock_of(&step);
        self.expect(&step, &[map]).await?;
        let take = |field: &str| self.vars.remove(field).unwrap_or_default();
        Ok(FIELDS.map(take))
    }
}

/// No variable of a case has such a name.
const FIELDS: [&str; 3] = ["port of MAP", "target of MAP", "isOpen of MAP"];

/// In the notation.
fn told(mapping: &Mapping) -> String {
    let lines = [&[b"MAP".to_vec()][..], mapping].concat();
    let map = Expectation::Message(transcript::message(&lines));
    print_action(&Action::Expect(map))
}

fn unmapped(got: Mismatch, missing: &[Mapping]) -> Mismatch {
    Mismatch::Unmapped {
        got: Box::new(got),
        missing: named(missing),
    }
}

fn named(mappings: &[Mapping]) -> String {
    let shown: Vec<String> = mappings.iter().take(SHOWN).map(told).collect();
    let more = mappings.len() - shown.len();
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// So many mappings are named.
const SHOWN: usize = 3;
