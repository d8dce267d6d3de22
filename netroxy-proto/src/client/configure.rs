//! What the operator changes while the client runs. This is no event of the protocol, so the table has
//! no row for it.

use alloc::vec::Vec;
use core::time::Duration;

use super::machine::Timer;
use super::table::State;
use super::{Client, Config, DisconnectReason, Mapping, Notice, Output};
use crate::RemotePort;
use crate::timer::Timers;

/// The least time from a login to the next attempt to connect (`life.client-pause`).
const PAUSE: Duration = Duration::from_secs(1);

impl Client {
    pub(super) fn configure(&mut self, now: Duration, mut config: Config, anew: bool) {
        config.jitter = self.config.jitter;
        let index = Self::index(&mut config);
        let old = core::mem::replace(&mut self.config, config);
        let old_index = core::mem::replace(&mut self.index, index);
        self.reconnect.set_longest(self.config.longest_retry_wait);
        let anew = anew
            || old.client_name != self.config.client_name
            || old.username != self.config.username
            || old.password != self.config.password;
        match self.state {
            // The next login uses all of the new configuration.
            State::Offline => return,
            // The mappings are requested after ARS.
            State::Connecting | State::LoggingIn if !anew => return,
            State::Connecting | State::LoggingIn => {}
            State::Up => {
                let is_held = |mapping: &&Mapping| !self.is_refused(mapping.remote_port);
                let kept = |mapping: &Mapping| {
                    let at = self.index.get(&mapping.remote_port);
                    at.and_then(|at| self.config.mappings.get(*at)) == Some(mapping)
                };
                let releases = !old.mappings.iter().filter(is_held).all(kept);
                if !anew && !releases {
                    // A refused port is requested when its wait is over (`map.retry-pause`), with
                    // its new mapping. If it has no mapping any more, it is not requested.
                    let is_new = |m: &&Mapping| {
                        !old_index.contains_key(&m.remote_port) && !self.is_refused(m.remote_port)
                    };
                    let new = self.config.mappings.iter().filter(is_new);
                    let maps: Vec<_> = new.map(Self::map).collect();
                    for map in maps {
                        self.send(map);
                    }
                    return;
                }
            }
        }
        self.state = State::Offline;
        let lasted = self.session.take().map(|s| now.saturating_sub(s.since));
        let delay = PAUSE.saturating_sub(lasted.unwrap_or_default());
        self.reconnect.reset();
        self.ended_early = 0;
        self.timers = Timers::new();
        self.timers.set(Timer::Connect, now.saturating_add(delay));
        let reason = DisconnectReason::Reconfigured;
        self.outputs.push_back(Output::Disconnect(reason));
        let notice = Notice::RetryIn(delay);
        self.outputs.push_back(Output::Notice(notice));
    }

    /// A refused port keeps its wait: if it is mapped again soon, it is not requested earlier (`map.retry-pause`).
    pub(super) fn forget(&mut self, port: RemotePort) {
        self.config.mappings.retain(|m| m.remote_port != port);
        self.index = Self::index(&mut self.config);
    }

    /// Whether the server has refused the port, and the next request is due later.
    fn is_refused(&self, port: RemotePort) -> bool {
        self.timers.is_set(Timer::Map(port))
    }
}
