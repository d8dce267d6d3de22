//! Machines that are broken on purpose: the search has to find each.

use netroxy_proto::{
    Ars, ClientMessage, PeerMisbehaved, ServerMessage,
    client::{self, DisconnectReason, Notice},
    server::{CloseReason, ConnId, Input, Output, RefuseReason, UserId},
};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A data connection gets the user that came last on its port.
    JoinsTheLast,
    /// A data connection gets a user of another port.
    JoinsAcrossPorts,
    /// A data connection with an old token gets the next user.
    JoinsOldTokens,
    /// Ports are not closed when their login ends.
    KeepsPorts,
    /// Ports of a login that was replaced are kept until its silence is noticed.
    KeepsReplaced,
    /// Two answers to MAP change their places.
    SwapsAnswers,
    /// MAP of a port that is taken is answered by true.
    SharesPorts,
    /// TRQ is sent twice.
    AsksTwice,
    /// TRQ is not sent.
    AsksNobody,
    /// TRQ is sent for closed mappings too.
    AsksForClosed,
    /// Users who wait stay when their login ends.
    LeavesUsers,
    /// Users wait for ever.
    ForgetsUsers,
    /// Users who have gone are still joined.
    JoinsTheGone,
    /// Half the timeout is granted.
    ExpiresEarly,
    /// Twice the timeout is granted.
    ExpiresLate,
    /// Tunnels end with their login.
    CutsTunnels,
    /// The client never sends SRQ.
    SilentClient,
    /// The client gives up at the first SRQ.
    HastyClient,
    /// The client does not connect again.
    TiredClient,
    /// The client asks for its last mapping first.
    UnorderedClient,
    /// The client does not ask again for a mapping that was refused.
    ContentClient,
}

/// What a broken server may need to know of its surroundings.
pub(crate) struct Around {
    /// Users who wait, with their ports, in the order in which they came.
    pub(crate) waiting: Vec<(UserId, u16)>,
    /// Connections of tunnels.
    pub(crate) tunnels: Vec<ConnId>,
    /// As configured, in seconds.
    pub(crate) timeout: i64,
}

impl Mutant {
    /// What the machine is told.
    pub(crate) fn server_hears(self, input: &mut Input) {
        let Input::Message { conn, message } = input else {
            return;
        };
        match (self, message) {
            (Self::KeepsReplaced, ClientMessage::Ath(ath)) => {
                let name = format!("{}-{}", ath.client_name, conn.0);
                ath.client_name = name.try_into().unwrap();
            }
            (Self::AsksForClosed, ClientMessage::Map(map)) => map.is_open = true,
            _ => {}
        }
    }

    /// Whether the server does not hear this at all.
    pub(crate) fn is_deaf_to(self, input: &Input) -> bool {
        self == Self::JoinsTheGone && matches!(input, Input::UserGone { .. })
    }

    /// What becomes of the outputs of one input.
    pub(crate) fn server_does(self, input: &Input, outputs: &mut Vec<Output>, around: &Around) {
        match self {
            Self::JoinsTheLast | Self::JoinsAcrossPorts => {
                for output in outputs {
                    if let Output::Join { user, .. } = output {
                        *user = self.other_user(*user, around);
                    }
                }
            }
            Self::JoinsOldTokens => {
                for output in outputs {
                    if let Output::Close { conn, reason } = output
                        && *reason == CloseReason::Misbehaved(PeerMisbehaved::UnknownToken)
                        && let Some((user, _)) = around.waiting.first()
                    {
                        let (conn, user) = (*conn, *user);
                        *output = Output::Join { conn, user };
                    }
                }
            }
            Self::KeepsPorts => outputs.retain(|o| !matches!(o, Output::CloseListener { .. })),
            Self::SwapsAnswers => {
                let is_mrs = |o: &Output| {
                    matches!(
                        o,
                        Output::Send {
                            message: ServerMessage::Mrs(_),
                            ..
                        }
                    )
                };
                let at: Vec<usize> = (0..outputs.len())
                    .filter(|i| is_mrs(&outputs[*i]))
                    .collect();
                if let [one, two] = at[..] {
                    outputs.swap(one, two);
                }
            }
            Self::SharesPorts => {
                for output in outputs {
                    if let Output::Send {
                        message: ServerMessage::Mrs(mrs),
                        ..
                    } = output
                    {
                        mrs.is_ok = true;
                    }
                }
            }
            Self::AsksTwice => {
                let again = outputs.iter().find(|o| is_trq(o)).cloned();
                outputs.extend(again);
            }
            Self::AsksNobody => outputs.retain(|o| !is_trq(o)),
            Self::LeavesUsers => outputs.retain(|o| {
                let reason = RefuseReason::ClientGone;
                !matches!(o, Output::RefuseUser { reason: r, .. } if *r == reason)
            }),
            Self::ExpiresEarly | Self::ExpiresLate => {
                for output in outputs {
                    if let Output::Send {
                        message: ServerMessage::Ars(Ars::Accepted { timeout, .. }),
                        ..
                    } = output
                    {
                        *timeout = around.timeout.try_into().unwrap();
                    }
                }
            }
            Self::CutsTunnels if matches!(input, Input::Ended { .. }) => {
                outputs.extend(around.tunnels.iter().map(|conn| Output::Close {
                    conn: *conn,
                    reason: CloseReason::Replaced,
                }));
            }
            _ => {}
        }
    }

    /// What becomes of what a client does; `dialled` counts its connections so far.
    pub(crate) fn client_does(self, outputs: &mut Vec<client::Output>, dialled: u64) {
        let closes = DisconnectReason::Misbehaved(PeerMisbehaved::KeepaliveUnanswered);
        let is_srq = |o: &client::Output| *o == client::Output::Send(ClientMessage::Srq);
        let is_login = |o: &client::Output| {
            let client::Output::Notice(notice) = o else {
                return false;
            };
            matches!(notice, Notice::LoggedIn(_))
        };
        match self {
            Self::SilentClient => outputs.retain(|o| !is_srq(o)),
            Self::HastyClient if outputs.iter().any(is_srq) => {
                outputs.push(client::Output::Disconnect(closes));
            }
            Self::TiredClient if dialled > 0 => {
                outputs.retain(|o| *o != client::Output::Connect);
            }
            Self::UnorderedClient => outputs.reverse(),
            Self::ContentClient if !outputs.iter().any(is_login) => {
                outputs.retain(|o| !matches!(o, client::Output::Send(ClientMessage::Map(_))));
            }
            _ => {}
        }
    }

    fn other_user(self, user: UserId, around: &Around) -> UserId {
        let all = &around.waiting;
        let port = all.iter().find(|(u, _)| *u == user).map(|w| w.1);
        let same = self == Self::JoinsTheLast;
        let other = all.iter().rev().find(|w| (Some(w.1) == port) == same);
        other.map_or(user, |w| w.0)
    }
}

fn is_trq(output: &Output) -> bool {
    matches!(
        output,
        Output::Send {
            message: ServerMessage::Trq(_),
            ..
        }
    )
}
