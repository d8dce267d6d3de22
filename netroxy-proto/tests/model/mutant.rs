//! Machines that are broken on purpose. The search has to find each of them.

use netroxy_proto::client::{self, DisconnectReason, Notice};
use netroxy_proto::server::{CloseReason, ConnId, Input, Output, RefuseReason, UserId};
use netroxy_proto::{Ars, ClientMessage, PeerMisbehaved, ServerMessage};

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
    /// Ports of a login that was replaced stay until the login expires.
    KeepsReplaced,
    /// Two answers to MAP are swapped.
    SwapsAnswers,
    /// MAP of a port in use is answered by true.
    SharesPorts,
    /// TRQ is sent twice.
    SendsTrqTwice,
    /// TRQ is not sent.
    SendsNoTrq,
    /// TRQ is sent for closed mappings too.
    SendsTrqForClosed,
    /// Waiting users stay when their login ends.
    LeavesUsers,
    /// Users wait for ever.
    ForgetsUsers,
    /// Users who have gone are still joined.
    JoinsTheGone,
    /// The server uses half the timeout.
    ExpiresEarly,
    /// The server uses twice the timeout.
    ExpiresLate,
    /// Tunnels end with their login.
    CutsTunnels,
    /// The client never sends SRQ.
    ClientSendsNoSrq,
    /// The client gives up at the first SRQ.
    ClientGivesUpEarly,
    /// The client does not connect again.
    ClientNeverReconnects,
    /// The client requests its last mapping first.
    ClientReversesMaps,
    /// The client does not request a refused mapping again.
    ClientNeverRetries,
}

/// What a broken server needs to know of the world.
pub(crate) struct Around {
    /// Waiting users and their ports, in the order in which they connected.
    pub(crate) waiting: Vec<(UserId, u16)>,
    /// Connections of tunnels.
    pub(crate) tunnels: Vec<ConnId>,
    /// As configured, in seconds.
    pub(crate) timeout: i64,
}

impl Mutant {
    /// Changes an input of the server.
    pub(crate) fn server_input(self, input: &mut Input) {
        let Input::Message { conn, message } = input else {
            return;
        };
        match (self, message) {
            (Self::KeepsReplaced, ClientMessage::Ath(ath)) => {
                let name = format!("{}-{}", ath.client_name, conn.0);
                ath.client_name = name.try_into().unwrap();
            }
            (Self::SendsTrqForClosed, ClientMessage::Map(map)) => map.is_open = true,
            _ => {}
        }
    }

    /// Whether the server does not get this input.
    pub(crate) fn ignores(self, input: &Input) -> bool {
        self == Self::JoinsTheGone && matches!(input, Input::UserGone { .. })
    }

    /// Changes the outputs of one input of the server.
    pub(crate) fn server_outputs(self, input: &Input, outputs: &mut Vec<Output>, around: &Around) {
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
            Self::SendsTrqTwice => {
                let again = outputs.iter().find(|o| is_trq(o)).cloned();
                outputs.extend(again);
            }
            Self::SendsNoTrq => outputs.retain(|o| !is_trq(o)),
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

    /// Changes the outputs of one input of a client; `dialled` is the number of its connections so far.
    pub(crate) fn client_outputs(self, outputs: &mut Vec<client::Output>, dialled: u64) {
        let closes = DisconnectReason::Misbehaved(PeerMisbehaved::KeepaliveUnanswered);
        let is_srq = |o: &client::Output| *o == client::Output::Send(ClientMessage::Srq);
        let is_login = |o: &client::Output| {
            let client::Output::Notice(notice) = o else {
                return false;
            };
            matches!(notice, Notice::LoggedIn(_))
        };
        match self {
            Self::ClientSendsNoSrq => outputs.retain(|o| !is_srq(o)),
            Self::ClientGivesUpEarly if outputs.iter().any(is_srq) => {
                outputs.push(client::Output::Disconnect(closes));
            }
            Self::ClientNeverReconnects if dialled > 0 => {
                outputs.retain(|o| *o != client::Output::Connect);
            }
            Self::ClientReversesMaps => outputs.reverse(),
            Self::ClientNeverRetries if !outputs.iter().any(is_login) => {
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
