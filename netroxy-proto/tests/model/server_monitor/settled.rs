//! What must be done by now.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use netroxy_proto::server::{ConnId, UserId};

use super::{Kind, ServerMonitor, Verdict, Waiting, broken};

impl ServerMonitor {
    /// The server has done everything that it has to do at once. `busy` are connections with a port that
    /// is being opened: their answers wait for it.
    pub(crate) fn settled(&self, busy: &[ConnId]) -> Verdict {
        for (conn, entry) in &self.conns {
            if let Some(rule) = entry.doomed {
                return broken(rule, "the connection is still open");
            }
            let busy = busy.contains(conn);
            match &entry.kind {
                Kind::Known(_) => return broken("auth.ok-reply", "ATH is not answered"),
                Kind::Tunnel(_) => return broken("tunnel.fifo", "TRS has no effect"),
                Kind::Control(login) if !busy && !login.asked.is_empty() => {
                    return broken("map.one-reply", "MAP is not answered");
                }
                Kind::Control(login) if !busy && login.alive > 0 => {
                    return broken("keep.srs", "SRQ is not answered");
                }
                _ => {}
            }
            if !busy && self.owed.iter().any(|(owner, _)| owner == conn) {
                return broken("tunnel.one-trq-per-user", "a user without TRQ");
            }
        }
        for (port, (owner, _)) in &self.ports {
            if !self.conns.contains_key(owner) {
                let what = format!("port {port} is still open");
                return broken("map.released-on-close", what);
            }
        }
        for waiting in &self.waiting {
            if !self.conns.contains_key(&waiting.owner) {
                return broken(
                    "tunnel.waiting-closed",
                    "a user waits although the login has ended",
                );
            }
        }
        match self.unwanted.values().next() {
            Some(rule) => broken(rule, "the user is still open"),
            None => Ok(()),
        }
    }

    /// Everything that is due now has been done.
    pub(crate) fn passed(&self, now: Duration) -> Verdict {
        for entry in self.conns.values() {
            let silent = now.saturating_sub(entry.since);
            match &entry.kind {
                Kind::Control(_) if silent >= self.terms.timeout * 3 / 2 => {
                    return broken(
                        "keep.expiry-bound",
                        format!("open after {silent:?} of silence"),
                    );
                }
                Kind::Fresh if silent >= self.terms.login_deadline => {
                    return broken(
                        "auth.deadline",
                        format!("open after {silent:?} without a message"),
                    );
                }
                _ => {}
            }
        }
        let late = |w: &&Waiting| now.saturating_sub(w.since) >= self.terms.user_deadline;
        match self.waiting.iter().find(late) {
            Some(_) => broken("tunnel.user-timeout", "a user waits for too long"),
            None => Ok(()),
        }
    }

    /// Whether a user waits.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waiting users and their ports, in the order in which they connected.
    pub(crate) fn waiting(&self) -> Vec<(UserId, u16)> {
        self.waiting.iter().map(|w| (w.user, w.port)).collect()
    }

    /// Everything that later verdicts depend on.
    pub(crate) fn fingerprint(&self, now: Duration, hasher: &mut impl Hasher) {
        for (conn, entry) in &self.conns {
            let kind = match &entry.kind {
                Kind::Control(login) => {
                    for (port, is_open) in &login.asked {
                        (port.to_string(), is_open).hash(hasher);
                    }
                    1
                }
                Kind::Joined => 2,
                _ => 0,
            };
            // The age of a tunnel has no effect.
            let age = (kind != 2).then(|| now.saturating_sub(entry.since));
            (conn.0, kind, age).hash(hasher);
        }
        for (port, (owner, is_open)) in &self.ports {
            (port, owner.0, is_open).hash(hasher);
        }
        for w in &self.waiting {
            (w.user.0, w.port, w.owner.0, now - w.since).hash(hasher);
        }
        for (conn, port) in &self.owed {
            (conn.0, port).hash(hasher);
        }
    }
}
