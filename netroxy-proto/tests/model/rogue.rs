//! A rogue: a connection to the server that sends any messages in any order.

use netroxy_proto::server::{ConnId, Input};
use netroxy_proto::{Ath, ClientMessage, Incoming, Map, Token, Trs};

use crate::drivers::{token_of, words};
use crate::search::{Broken, Log};
use crate::world::{Action, Conn, Control, Kind, Seat, World};

/// What a rogue can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// A good ATH under its own name.
    Ath,
    /// A good ATH under the name of the first client.
    AthAsClient,
    /// ATH with a wrong password.
    AthBad,
    Map(u16),
    Srq,
    /// TRS with the token of its own connection.
    TrsOwn(u16),
    /// TRS with the token of the first client.
    TrsStolen(u16),
    /// TRS with a token that no login has.
    TrsGuess(u16),
    Nonsense,
    End,
}

const WORDS: [Word; 13] = [
    Word::Ath,
    Word::AthAsClient,
    Word::AthBad,
    Word::Map(1),
    Word::Map(2),
    Word::Srq,
    Word::TrsOwn(2),
    Word::TrsStolen(1),
    Word::TrsStolen(2),
    Word::TrsStolen(0),
    Word::TrsGuess(1),
    Word::Nonsense,
    Word::End,
];

impl World {
    pub(crate) fn rogue_actions(&self, all: &mut Vec<Action>) {
        if self.left.words == 0 {
            return;
        }
        let is_rogue = |conn: &Conn| matches!(conn.kind, Kind::Rogue(_));
        let at = self.conns.iter().position(is_rogue);
        match at.map(|at| (at, self.conns[at].seat)) {
            // One at a time: the messages matter, not the number of rogues.
            None => all.extend((0..self.plan.rogues.len()).map(Action::RogueConnect)),
            Some((at, Seat::Open)) => all.extend(WORDS.map(|word| Action::Say(at, word))),
            Some(_) => {}
        }
    }

    pub(crate) fn rogue_connect(&mut self, rogue: usize, log: &mut Log) -> Result<(), Broken> {
        let listener = self.plan.rogues[rogue];
        // Each word is counted down, so an id is used once.
        self.left.words -= 1;
        let id = 1000 + u64::from(self.left.words);
        log.note(|| format!("rogue connection {id} on {listener:?}"));
        self.accept(id, Kind::Rogue(rogue), listener, log)
    }

    pub(crate) fn say(&mut self, at: usize, word: Word, log: &mut Log) -> Result<(), Broken> {
        self.left.words -= 1;
        let conn = self.conns[at].id;
        let Some(message) = self.message(conn, word) else {
            if word == Word::End {
                self.conns[at].up.push(None);
                return self.up(at, log);
            }
            log.note(|| format!("{} to server: bytes that are no message", conn.0));
            let error = ClientMessage::parse(b"HELLO\n").unwrap_err();
            return self.feed(Input::Malformed { conn, error }, log);
        };
        log.note(|| format!("{} to server: {}", conn.0, words(&message)));
        self.feed(Input::Message { conn, message }, log)
    }

    fn message(&self, conn: ConnId, word: Word) -> Option<ClientMessage> {
        Some(match word {
            Word::Ath => ath("rogue", "secret"),
            Word::AthAsClient => ath(self.plan.peers[0].name, "secret"),
            Word::AthBad => ath("rogue", "guess"),
            Word::Map(port) => ClientMessage::Map(Map {
                remote_port: i64::from(port).into(),
                target: b"rogue".as_slice().try_into().unwrap(),
                is_open: true,
            }),
            Word::Srq => ClientMessage::Srq,
            Word::TrsOwn(port) => trs(token_of(conn.0), port),
            Word::TrsStolen(port) => match self.peers[0].control {
                Control::Open(id) => trs(token_of(id), port),
                Control::None | Control::Connecting => trs(token_of(0), port),
            },
            Word::TrsGuess(port) => trs(token_of(0), port),
            Word::Nonsense | Word::End => return None,
        })
    }
}

fn ath(name: &str, password: &str) -> ClientMessage {
    ClientMessage::Ath(Ath {
        client_name: name.as_bytes().try_into().unwrap(),
        username: b"alice".as_slice().try_into().unwrap(),
        password: password.as_bytes().try_into().unwrap(),
    })
}

fn trs(token: Token, port: u16) -> ClientMessage {
    ClientMessage::Trs(Trs {
        token,
        remote_port: i64::from(port).into(),
    })
}
